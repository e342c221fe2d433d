"""Clips that overlap: a frame is the mean over those that hold it; and what cannot overlap."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import ROOT, call
from networks import load_model
from random_runs import make_run

from abawfw.apis.build import build_loader, overlapping
from abawfw.apis.inferencer import VAInferencer
from abawfw.apis.trained_run import TrainedRun
from abawfw.checkpoints import best_checkpoint
from abawfw.config.loading import VAConfig, load_config, resolve
from abawfw.errors import ConfigError
from abawfw.evaluation.functional import CLIP_WEIGHTS

FP32 = {'optim_wrapper.precision': 'fp32'}


def by_hand(run: Path, length: int, hop: int, weigh: Callable[[int], np.ndarray]) -> dict[str, np.ndarray]:
    """Valence of the videos of val: the model applied to one window after the other."""
    whole = {'val_dataloader.dataset.clips.length': 10**6, 'val_dataloader.num_workers': 0}
    cfg = resolve(load_config(run / 'config.py', whole))
    dataset = build_loader(cfg, 'val_dataloader').dataset
    model = load_model(cfg, best_checkpoint(run, 'ccc_valence'), dataset.input_dims).eval()
    found = {}
    for batch in build_loader(cfg, 'val_dataloader'):
        for row, video in enumerate(batch['data_samples'].video_id):
            frames = batch['data_samples'].num_frames[row]
            x = {m: v[row, :frames].float() for m, v in batch['inputs'].items()}
            total, count = np.zeros(frames), np.zeros(frames)
            starts = [*range(0, frames - length, hop), frames - length] if frames > length else [0]
            for start in starts:
                window = slice(start, start + length)
                with torch.no_grad():
                    out = model({m: v[window][None] for m, v in x.items()}).va[0, :, 0].numpy()
                total[window] += out * weigh(len(out))
                count[window] += weigh(len(out))
            found[video] = total / count
    return found


@pytest.mark.parametrize('weights', CLIP_WEIGHTS)
def test_a_frame_is_the_mean_over_the_clips_that_hold_it(trained: Path, weights: str) -> None:
    more = {**FP32, 'overlap': 3, 'overlap_weights': weights}
    cfg = resolve(load_config(trained / 'config.py', more))
    checkpoint = best_checkpoint(trained, 'ccc_valence')
    found = TrainedRun(cfg, {'valence': checkpoint}).predict('val')['valence'][0]
    length = cfg.val_dataloader.dataset.clips.length
    expected = by_hand(trained, length, length // 3, CLIP_WEIGHTS[weights])
    assert found.keys() == expected.keys()
    for video, values in found.items():
        assert len(values) > 2 * length
        np.testing.assert_allclose(values, expected[video], rtol=0, atol=1e-5)


def test_weights_of_the_reference(golden_2025: Path) -> None:
    with np.load(golden_2025 / 'ras/postprocess.npz') as golden:
        for frames in (5, 8):
            np.testing.assert_allclose(
                CLIP_WEIGHTS['triangle'](frames), golden[f'triangle_{frames}'], rtol=1e-6
            )
            gaussian = CLIP_WEIGHTS['gaussian'](frames)
            np.testing.assert_allclose(gaussian, golden[f'gaussian_weight_{frames}'], rtol=1e-5)


def test_the_command_and_inference_agree(
    trained: Path, demo_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = call(capfd, 'test', trained, '--overlap', 2, '--out', tmp_path, '--partition', 'val')
    assert found.code == 0, found.err
    stored = json.loads((tmp_path / 'val_pred_valence_nosmooth_ori.json').read_text())
    plain = VAInferencer(trained).predict_store(demo_data)
    tables = VAInferencer(trained, overrides={'overlap': 2}).predict_store(demo_data)
    for video, entry in stored.items():
        np.testing.assert_allclose(tables[video]['valence_raw'], entry['pred'], rtol=0, atol=1e-6)
        assert np.abs(plain[video]['valence_raw'] - entry['pred']).max() > 1e-3


def config(**values: object) -> VAConfig:
    return resolve(load_config(ROOT / 'configs/rucaim3/transformer_demo.py', values))


def test_more_than_a_clip(trained: Path, capfd: pytest.CaptureFixture[str]) -> None:
    length = config().val_dataloader.dataset.clips.length
    message = f'overlap = {length + 1}: clips have {length} frames; choose a smaller number'
    with pytest.raises(ConfigError, match=message):
        overlapping(config(overlap=length + 1))
    assert overlapping(config(overlap=length)).val_dataloader.dataset.clips.hop == 1
    found = call(capfd, 'test', trained, '--overlap', 0)
    assert found.code == 2
    assert 'overlap' in found.err


def test_a_model_that_carries_state(
    demo_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = make_run(
        tmp_path / 'run',
        ROOT / 'configs/rucaim3/fclstm_xl_demo.py',
        {'data_root': str(demo_data), 'hidden': 8},
    )
    found = call(capfd, 'test', run, '--overlap', 2)
    assert found.code == 2
    assert 'error: overlap = 2: LSTMContext carries state from the end of a clip' in found.err
