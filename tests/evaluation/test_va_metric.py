from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.evaluator import Evaluator

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import ccc, pcc, rmse, smooth_and_clip
from abawfw.evaluation.va_metric import VAMetric
from abawfw.registry import METRICS
from abawfw.structures import VABatch, VAClip

LENGTHS = {'a': 130, 'b': 75, 'c': 9}


def whole_videos() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    videos = {}
    for name, n in LENGTHS.items():
        label = rng.uniform(-1, 1, (n, 2)).astype(np.float32)
        pred = (label + rng.normal(0, 0.6, (n, 2))).astype(np.float32)
        label[: n // 4] = np.nan
        videos[name] = (pred, label)
    videos['c'][1][:] = 0.25  # constant labels
    return videos


def clip(name: str, start: int, stop: int, padding: int = 0, targets: int = 2) -> VABatch:
    """A clip with its predictions, as a batch of one."""
    pred, label = whole_videos()[name]
    pad = [(0, padding), (0, 0)]
    gt_va = torch.from_numpy(np.pad(label[start:stop], pad, constant_values=np.nan))
    valid = torch.arange(len(gt_va)) < stop - start
    sample = VABatch.of(
        [VAClip(name, start, stop - start, LENGTHS[name], 0, not start, gt_va, valid, valid[:, None])]
    )
    sample.pred_va = torch.from_numpy(
        np.pad(pred[start:stop], pad, constant_values=np.nan)[None, :, :targets]
    )
    return sample


def clips() -> list[VABatch]:
    cut = [
        clip(name, s, min(s + 40, n), padding=max(0, s + 40 - n))
        for name, n in LENGTHS.items()
        for s in range(0, n, 40)
    ]
    filler = clip('a', 0, 0, padding=40)
    return [*cut, filler]


def measure(samples: list[VABatch], **arguments: object) -> tuple[dict[str, float], VAMetric]:
    metric = VAMetric(**arguments)  # type: ignore[arg-type]
    for i in range(0, len(samples), 3):
        metric.process(None, samples[i : i + 3])
    return metric.evaluate(len(samples)), metric


def test_equals_whole_videos() -> None:
    found, metric = measure(clips())
    videos = whole_videos()
    for k, (target, w) in enumerate({'valence': 50, 'arousal': 20}.items()):
        label = np.concatenate([v[1][:, k] for v in videos.values()])
        stages = {
            '': [v[0][:, k] for v in videos.values()],
            '_clipped': [v[0][:, k].clip(-1, 1) for v in videos.values()],
            '_smoothed': [smooth_and_clip(v[0][:, k], w) for v in videos.values()],
        }
        for suffix, pred in stages.items():
            for name, function in {'ccc': ccc, 'pcc': pcc, 'rmse': rmse}.items():
                expected = function(label, np.concatenate(pred))
                assert found[f'{name}_{target}{suffix}'] == pytest.approx(expected, rel=1e-9)
    for suffix in ('', '_clipped', '_smoothed'):
        mean = (found[f'ccc_valence{suffix}'] + found[f'ccc_arousal{suffix}']) / 2
        assert found[f'ccc{suffix}'] == pytest.approx(mean)
    assert len(found) == 21
    assert list(metric.videos) == ['a', 'b', 'c']
    np.testing.assert_array_equal(metric.videos['b'].pred, videos['b'][0])
    np.testing.assert_array_equal(metric.videos['b'].label, videos['b'][1])
    assert metric.results == []


def test_overlapping_windows_are_averaged_and_repeated_clips_counted_once() -> None:
    first, second = clip('c', 0, 6), clip('c', 3, 9)
    second.pred_va = second.pred_va + 1
    _, metric = measure([first, second, first, first])
    expected = whole_videos()['c'][0].astype(np.float64)
    expected[3:6] += 0.5
    expected[6:] += 1
    np.testing.assert_allclose(metric.videos['c'].pred, expected, atol=1e-6)


def test_single_target_model() -> None:
    samples = [clip('a', 0, 130), clip('b', 0, 75)]
    both, _ = measure(samples)
    for sample in samples:
        sample.pred_va = sample.pred_va[..., 1:]
    found, _ = measure(samples, targets=('arousal',))
    assert found == {k: v for k, v in both.items() if 'arousal' in k} | {
        f'ccc{s}': both[f'ccc_arousal{s}'] for s in ('', '_clipped', '_smoothed')
    }


def test_through_mmengine() -> None:
    metric = METRICS.build({'type': 'VAMetric', 'windows': {'valence': 3, 'arousal': 2}})
    evaluator = Evaluator(metric)
    evaluator.process(clips())
    assert evaluator.evaluate(3) == measure(clips(), windows={'valence': 3, 'arousal': 2})[0]


def test_no_labels() -> None:
    sample = clip('c', 0, 9)
    sample.gt_va[..., 1] = np.nan
    metric = VAMetric()
    metric.process(None, [sample])
    assert metric.collect()['c'].pred.shape == (9, 2)
    metric.process(None, [sample])
    with pytest.raises(DataError, match='no valid label of arousal in 1 video: nothing'):
        metric.evaluate(1)
    with pytest.raises(DataError, match='no predictions'):
        metric.evaluate(1)


def test_bad_predictions_are_named() -> None:
    sample = clip('a', 0, 130)
    sample.pred_va[0, 7] = np.nan
    sample.pred_va[0, 9, 1] = np.inf
    with pytest.raises(
        DataError, match='video a: predictions of 2 of 130 frames are not finite, first in frame 7'
    ):
        measure([sample])
    with pytest.raises(DataError, match='video a: 40 of 130 frames are covered by no clip, first frame 40'):
        measure([clip('a', 0, 40), clip('a', 80, 130)])
    with pytest.raises(DataError, match=r'video a, clip from frame 0: predictions \(130, 1\)'):
        measure([clip('a', 0, 130, targets=1)])
    other = clip('a', 40, 80)
    other.video_length = [80]
    with pytest.raises(DataError, match='different lengths, 80 and 130'):
        measure([clip('a', 0, 40), other])


def test_bad_arguments() -> None:
    with pytest.raises(ConfigError, match='valance'):
        VAMetric(targets=('valance',))
    with pytest.raises(ConfigError, match='lack the target arousal'):
        VAMetric(windows={'valence': 1})


def of_one_rank(rank: int, init: Path, out: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{init}', rank=rank, world_size=2)
    samples = clips()
    # rank 1 repeats a clip of rank 0, as a sampler does that fills the last round
    found, metric = measure(samples[rank::2] + samples[:rank])
    videos = {k: v.pred.tolist() for k, v in metric.videos.items()}
    out.write_text(json.dumps([found, videos]))
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    fork = multiprocessing.get_context('fork')
    workers = [
        fork.Process(target=of_one_rank, args=(rank, tmp_path / 'init', tmp_path / f'out{rank}'))
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    found, metric = measure(clips())
    expected = [found, {k: v.pred.tolist() for k, v in metric.videos.items()}]
    for rank in range(2):
        assert json.loads((tmp_path / f'out{rank}').read_text()) == expected
