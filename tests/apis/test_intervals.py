"""tools/test.py --intervals: what it finds, keeps, removes and refuses, and everyone who reads it."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from command_line import call
from evaluation.test_conformal import plain_coverage, plain_reach, plain_spread

from abawfw.apis import VAInferencer
from abawfw.apis.export import ExportGraph, describe
from abawfw.apis.test import test as run_test
from abawfw.apis.trained_run import load_run
from abawfw.checkpoints import best_checkpoint
from abawfw.config.loading import load_config
from abawfw.datasets.stores import open_store
from abawfw.errors import DataError
from abawfw.results.run import Run
from abawfw.visualization.curves import draw_videos
from abawfw.visualization.run_page import run_page, video_browser

infer = importlib.import_module('abawfw.apis.infer')  # the room's own name is that of the function
TARGETS = ('valence', 'arousal')


@pytest.fixture(scope='module')
def found(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, tested with intervals; of two videos none but those of one half of the frames can be had."""
    run = shutil.copytree(trained, tmp_path_factory.mktemp('intervals') / 'run')
    cfg = load_config(run / 'config.py', {'intervals.alpha': 0.5})
    best = {t: best_checkpoint(run, f'ccc_{t}') for t in TARGETS}
    report = run_test(cfg, best, run / 'predictions', intervals=True)
    assert list(report.intervals) == list(TARGETS)
    return run


@pytest.fixture
def run(found: Path, tmp_path: Path) -> Path:
    """A copy, to be spoilt."""
    return shutil.copytree(found, tmp_path / 'run')


def kept(run: Path, target: str = 'valence') -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / f'predictions/intervals_{target}.json').read_text())
    return content


def test_they_are_those_of_the_delivered_predictions(found: Path) -> None:
    for target in TARGETS:
        stored = json.loads((found / f'predictions/val_pred_{target}_smooth.json').read_text())
        units = [
            [(np.array(v['pred']), np.where(np.array(v['label']) == -5, np.nan, v['label']))]
            for v in stored.values()
        ]
        content = kept(found, target)
        assert (content['alpha'], content['units'], content['unit']) == (0.5, 2, '2 videos, no groups known')
        assert content['reach'] == pytest.approx(plain_reach(units, 0.5), rel=1e-6)
        left_out = [plain_coverage(units[k], plain_reach(units[1 - k : 2 - k], 0.5)) for k in (0, 1)]
        assert content['covered'] == pytest.approx(np.mean(left_out), abs=0.02)
        assert content['checkpoint'] == best_checkpoint(found, f'ccc_{target}').name


def test_what_a_search_finds_or_val_is_fitted_to_is_delivered_too(run: Path) -> None:
    cfg = load_config(
        run / 'config.py',
        {
            'intervals.alpha': 0.5,
            'postprocess': [{'type': 'MeanSmoothing', 'window': 3}, {'type': 'AffineCalibration'}],
        },
    )
    best = {t: best_checkpoint(run, f'ccc_{t}') for t in TARGETS}
    for search in (None, ['MedianSmoothing', 'AffineCalibration']):
        report = run_test(cfg, best, run / 'predictions', search=search, intervals=True)
        for target in TARGETS:
            assert Run(run).intervals(target) is not None
            assert kept(run, target)['postprocess'] == report.postprocess[target].settings()
        assert set(VAInferencer(run, 'cpu').intervals) == set(TARGETS)


def test_inference_gives_them_in_every_file(
    found: Path, demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(infer, 'draw_curves', lambda *given: drawn.append(given))
    inferencer = VAInferencer(found, device='cpu')
    done = infer.infer_store(inferencer, open_store(demo_data), tmp_path).done
    for video in done:  # some are computed at the rate of training, and moved back
        assert (video.table.valence_low <= video.table.valence).all()
        assert (video.table.valence <= video.table.valence_high).all()
    content = json.loads((tmp_path / 'train_0.va.json').read_text())
    table = pd.read_csv(tmp_path / 'train_0.va.csv')
    assert drawn[-1][-1] == {t: f'{t}, 50 % of frames' for t in TARGETS}
    ends = ['valence_low', 'valence_high', 'arousal_low', 'arousal_high']
    assert list(table.columns)[-6:] == ['arousal_raw', *ends, 'face']
    for target in TARGETS:
        said = content['intervals'][target]
        assert (said['alpha'], said['obstacle'], said['units']) == (0.5, None, '2 videos, no groups known')
        curve = table[target].to_numpy()
        apart = kept(found, target)['reach'] * plain_spread(curve)
        np.testing.assert_allclose(table[f'{target}_low'], np.clip(curve - apart, -1, 1), atol=1e-6)
        np.testing.assert_allclose(table[f'{target}_high'], np.clip(curve + apart, -1, 1), atol=1e-6)
        assert content['frames'][3][f'{target}_low'] == pytest.approx(table[f'{target}_low'][3])


def test_an_exported_file_describes_them(found: Path) -> None:
    loaded = load_run(found)
    said = describe(loaded, ExportGraph(loaded))['intervals']
    assert said['valence']['reach'] == kept(found)['reach']
    assert said['arousal']['spread'] == {'window': 50, 'floor': 0.2}


def test_the_page_and_the_figure_show_them(found: Path) -> None:
    page, run = run_page(Run(found)).render(), Run(found)
    width = f'{kept(found)["width"]:.3f}'
    assert '>Intervals</h2>' in page
    assert width in page
    video, of_video = next(iter(run.predictions('valence').items()))
    curves = video_browser(run).stored.videos[video].curves
    apart = kept(found)['reach'] * plain_spread(of_video)
    np.testing.assert_allclose(curves['valence low'], np.clip(of_video - apart, -1, 1), atol=1e-6)
    np.testing.assert_allclose(curves['valence high'], np.clip(of_video + apart, -1, 1), atol=1e-6)
    band, *_ = draw_videos(run, [video]).axes[0].collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx(max(curves['valence high']), abs=1e-6)


def test_too_few_videos_have_none_and_everyone_says_why(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    why = '2 labelled videos: intervals for 90 % of the frames (alpha 0.1) need 9 or more'
    printed = call(capfd, 'test', run, '--intervals', '--partition', 'test')
    assert printed.code == 0, printed.err
    assert f'valence, intervals: none: {why}' in printed.out
    assert 'note: val was tested, too: intervals are found on its labels' in printed.out
    inferencer = VAInferencer(run, device='cpu')
    assert inferencer.intervals['arousal'].settings()['obstacle'] == why
    table = inferencer.predict_store(load_config(run / 'config.py').data_root)['val_0']
    assert not {'valence_low', 'valence_high', 'arousal_low', 'arousal_high'} & set(table.columns)
    assert f'valence: there are no intervals: {why}.' in run_page(Run(run)).render()


def test_groups_are_units(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = shutil.copytree(load_config(run / 'config.py').data_root, tmp_path / 'data')
    videos = []
    for partition in ('train', 'val'):
        with h5py.File(root / f'targets/{partition}_valid_targets.h5') as file:
            videos += [(name, name if partition == 'train' else 'anna') for name in file]
    (root / 'groups.csv').write_text('\n'.join(['video,group', *(','.join(row) for row in videos)]))
    more = ['--data-root', root, '--cfg-options', 'intervals.alpha=0.5']
    printed = call(capfd, 'test', run, '--intervals', '--partition', 'val', *more)
    assert 'found on 1 group (2 videos), too few to be cross-validated' in printed.out
    assert kept(run)['covered'] is None


def test_they_belong_to_weights_and_post_processing(run: Path) -> None:
    assert VAInferencer(run, device='cpu').intervals['valence'].found.reach is not None
    path = run / 'predictions/postprocess_valence.json'
    changed = {**json.loads(path.read_text()), 'postprocess': [{'type': 'MeanSmoothing', 'window': 3}]}
    path.write_text(json.dumps(changed))
    why = 'they were found after MeanSmoothing(window=50), not after MeanSmoothing(window=3)'
    for intervals in (VAInferencer(run, device='cpu').intervals['valence'], Run(run).intervals('valence')):
        assert intervals is not None
        assert (intervals.found.reach, intervals.found.obstacle) == (None, why)
    path = run / 'predictions/intervals_arousal.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), 'digest': 'of another file'}))
    arousal = VAInferencer(run, device='cpu').intervals['arousal']
    assert str(arousal) == 'none: they were found for other weights'
    assert f'arousal: there are no intervals: {arousal.found.obstacle}.' in run_page(Run(run)).render()


def test_they_belong_to_the_clips_that_were_predicted(run: Path) -> None:
    assert VAInferencer(run, device='cpu').intervals['valence'].found.reach is not None
    other = VAInferencer(run, device='cpu', overrides={'overlap': 2}).intervals['valence'].found
    assert other.reach is None
    cut = 'Segments(length=40), not SlidingWindow(length=40, hop=20, weights=uniform)'
    assert other.obstacle == f'they were found with clips {cut}'
    cfg = load_config(run / 'config.py', {'intervals.alpha': 0.5, 'overlap': 2})
    best = {t: best_checkpoint(run, f'ccc_{t}') for t in TARGETS}
    run_test(cfg, best, run / 'predictions', intervals=True)
    overlapping = {'overlap': 2, 'overlap_weights': 'uniform'}
    assert VAInferencer(run, device='cpu', overrides=overlapping).intervals['valence'].found.reach is not None
    for overrides in ({}, {'overlap': 2, 'overlap_weights': 'triangle'}):
        assert VAInferencer(run, device='cpu', overrides=overrides).intervals['valence'].found.reach is None
    loaded = load_run(run)  # a network is given clips one by one
    assert describe(loaded, ExportGraph(loaded))['intervals']['valence']['reach'] is None


def test_they_belong_to_the_weights_of_windows_that_overlap_by_the_rule_of_the_run(run: Path) -> None:
    path = run / 'config.py'
    rule = {'type': 'SlidingWindow', 'length': 40, 'hop': 20}
    cfg = load_config(path, {'val_dataloader.dataset.clips': rule, 'overlap_weights': 'triangle'})
    path.write_text(cfg.pretty_text)
    best = {t: best_checkpoint(run, f'ccc_{t}') for t in TARGETS}
    run_test(load_config(path, {'intervals.alpha': 0.5}), best, run / 'predictions', intervals=True)

    def reach(weights: str) -> float | None:
        inferencer = VAInferencer(run, device='cpu', overrides={'overlap_weights': weights})
        return inferencer.intervals['valence'].found.reach

    assert reach('triangle') is not None
    assert reach('uniform') is None
    file = run / 'predictions/intervals_valence.json'  # as written before weights were: they are uniform
    content = json.loads(file.read_text())
    assert content['clips'].pop('weights') == 'triangle'
    file.write_text(json.dumps(content))
    assert reach('triangle') is None
    assert reach('uniform') is not None


def test_another_test_of_val_removes_them_and_one_of_test_does_not(
    run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = kept(run)
    assert call(capfd, 'test', run, '--partition', 'test').code == 0
    assert kept(run) == before
    printed = call(capfd, 'test', run, '--partition', 'val', '--target', 'valence')
    note = 'note: valence: the intervals of an earlier test were removed; --intervals finds those of this one'
    assert note in printed.out
    assert 'arousal: the intervals' not in printed.out
    assert not (run / 'predictions/intervals_valence.json').exists()
    assert kept(run, 'arousal')['reach']
    assert Run(run).intervals('valence') is None


@pytest.mark.parametrize(
    'change',
    [
        '{',
        '[]',
        {'reach': -1},
        {'reach': 'far'},
        {'alpha': 1},
        {'window': 2.5},
        {'floor': 0},
        {'reach': None},
        {'unit': 3},
        {'units': -3},
        {'width': -7.0},
        {'covered': 7.3},
        {'postprocess': [{'type': 'x'}]},
    ],
)
def test_a_damaged_file_is_named(run: Path, change: Any) -> None:
    path = run / 'predictions/intervals_valence.json'
    path.write_text(change if isinstance(change, str) else json.dumps({**kept(run), **change}))
    with pytest.raises(
        DataError, match=r'intervals_valence\.json is damaged.*; write it again with'
    ) as error:
        Run(run).intervals('valence')
    assert str(error.value).count(' is damaged') == 1


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('intervals.alpha=1.5', 'intervals.alpha: must be below 1, not 1.5'),
        ('intervals.beta=1', 'intervals.beta'),
    ],
)
def test_a_level_that_cannot_be_is_refused(
    run: Path, capfd: pytest.CaptureFixture[str], option: str, message: str
) -> None:
    printed = call(capfd, 'test', run, '--intervals', '--cfg-options', option)
    assert printed.code == 2
    assert message in printed.err
