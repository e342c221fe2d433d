from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tool_here import tool_here

from abawfw.datasets.demo.rucaim3 import make_demo_data
from abawfw.datasets.demo.signals import DemoSummary
from abawfw.datasets.demo.trials import make_demo_trials
from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import ccc

LAGS = {1: 0.998, 10: 0.948, 30: 0.819, 100: 0.565, 300: 0.323}


def read_labels(root: Path, partition: str) -> dict[str, np.ndarray]:
    """Raw labels (frames, 2), -5 where there is none."""
    with h5py.File(root / f'targets/{partition}_valid_targets.h5') as file:
        return {
            name: np.stack([file[name]['valence'][:], file[name]['arousal'][:]], axis=1).astype(np.float64)
            for name in file
        }


def read_features(root: Path, partition: str, feature: str) -> dict[str, np.ndarray]:
    with h5py.File(root / f'features/{partition}_{feature}.h5') as file:
        return {name: file[name]['fts'][:] for name in file}


@pytest.fixture(scope='module')
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoSummary]:
    """Videos as long as those of Aff-Wild2: long enough for the slow time scale."""
    root = tmp_path_factory.mktemp('demo') / 'large'
    return root, make_demo_data(root, seed=3, videos=(80, 4, 2), scale=1.0)


@pytest.fixture(scope='module')
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoSummary]:
    root = tmp_path_factory.mktemp('demo') / 'small'
    return root, make_demo_data(root)


def test_labels_have_the_moments_of_affwild2(large: tuple[Path, DemoSummary]) -> None:
    labels = read_labels(large[0], 'train')
    labelled = {name: values[values[:, 0] != -5] for name, values in labels.items()}
    frames = np.concatenate(list(labelled.values()))
    np.testing.assert_allclose(frames.mean(axis=0), [0.07, 0.30], atol=0.05)
    np.testing.assert_allclose(frames.std(axis=0), [0.40, 0.30], atol=0.03)
    assert 0.1 < np.corrcoef(frames.T)[0, 1] < 0.4
    of_videos = np.concatenate([np.broadcast_to(v.mean(axis=0), v.shape) for v in labelled.values()])
    np.testing.assert_allclose(of_videos.var(axis=0) / frames.var(axis=0), [0.50, 0.37], atol=0.1)
    assert np.abs(frames).max() <= 1
    np.testing.assert_allclose(frames * 1000, np.round(frames * 1000), atol=1e-4)


def test_labels_are_held_and_have_two_time_scales(large: tuple[Path, DemoSummary]) -> None:
    whole = [values for values in read_labels(large[0], 'train').values() if values.min() >= -1]
    still = np.concatenate([np.diff(values, axis=0) == 0 for values in whole]).mean(axis=0)
    np.testing.assert_allclose(still, 2 / 3, atol=0.03)
    centred = [values - values.mean(axis=0) for values in whole]
    variance = np.concatenate([values**2 for values in centred]).mean(axis=0)
    for lag, expected in LAGS.items():
        products = [values[:-lag] * values[lag:] for values in centred if len(values) > lag]
        found = np.concatenate(products).mean(axis=0) / variance
        tolerance = 0.003 if lag == 1 else 0.02 if lag <= 30 else 0.1
        assert abs(found[0] - expected) < tolerance, (lag, found)


def test_lengths_follow_the_quantiles(large: tuple[Path, DemoSummary]) -> None:
    lengths = [len(values) for values in read_labels(large[0], 'train').values()]
    np.testing.assert_allclose(
        np.quantile(lengths, [0.05, 0.25, 0.5, 0.75, 0.95]), (1220, 2640, 3899, 5405, 10529), rtol=0.1
    )
    assert max(lengths) > 20000
    assert large[1].frames['train'] == sum(lengths)


def test_faces_are_missing_in_gaps(large: tuple[Path, DemoSummary]) -> None:
    coverage, gaps = [], []
    with h5py.File(large[0] / 'features/train_affectnet.h5') as file:
        for video in file.values():
            observed, values = video['valid'][:], video['fts'][:]
            assert set(np.unique(observed)) <= {0, 1}
            assert not values[observed == 0].any()
            assert values[observed == 1].any(axis=1).all()
            coverage.append(observed.mean())
            edges = np.flatnonzero(np.diff(np.concatenate([[1], observed, [1]])))
            gaps.extend(edges[1::2] - edges[::2])
    assert abs(np.mean(coverage) - 0.94) < 0.015
    assert 0.2 <= np.mean(np.array(coverage) < 0.95) <= 0.35
    assert np.median(gaps) == 2
    assert 60 < np.quantile(gaps, 0.99) < 130
    with h5py.File(large[0] / 'features/train_vggish.h5') as file:
        assert all('valid' not in video for video in file.values())


@pytest.mark.parametrize('which', ['small', 'large'])
def test_runs_without_labels_constant_video_and_test(which: str, request: pytest.FixtureRequest) -> None:
    root, summary = request.getfixturevalue(which)
    train, val = read_labels(root, 'train'), read_labels(root, 'val')
    with_run = [name for name, values in train.items() if (values == -5).any()]
    assert tuple(with_run) == summary.unlabelled_runs
    assert len(with_run) == max(1, round(0.01 * (len(train) + len(val))))
    for name in with_run:
        missing = (train[name] == -5).all(axis=1)
        np.testing.assert_array_equal(missing, (train[name] == -5).any(axis=1))
        assert np.count_nonzero(np.diff(missing.astype(int)) == 1) + missing[0] == 1
        assert missing.sum() <= min(1530, len(missing) / 3)
    constant = [name for name, values in val.items() if (values == values[0]).all()]
    assert constant == [summary.constant]
    with h5py.File(root / 'targets/test_valid_targets.h5') as file:
        assert all(
            list(video) == ['length', 'fps'] or set(video) == {'length', 'fps'} for video in file.values()
        )


def test_default_size_is_small_and_features_tell_the_labels(small: tuple[Path, DemoSummary]) -> None:
    root, summary = small
    assert summary.videos == {'train': 16, 'val': 6, 'test': 4}
    assert 15_000 <= summary.frames['train'] <= 20_000
    assert sum(path.stat().st_size for path in root.rglob('*.h5')) < 30e6

    def design(partition: str) -> tuple[np.ndarray, np.ndarray]:
        labels = read_labels(root, partition)
        features = [read_features(root, partition, name) for name in ('affectnet', 'vggish', 'egemaps')]
        rows = np.concatenate([np.concatenate([f[name] for f in features], axis=1) for name in labels])
        targets = np.concatenate(list(labels.values()))
        usable = targets[:, 0] != -5
        return np.column_stack([rows[usable], np.ones(usable.sum())]).astype(np.float64), targets[usable]

    rows, targets = design('train')
    assert rows.shape[1] == 48 + 24 + 23 + 1
    weights = np.linalg.solve(rows.T @ rows + 10 * np.eye(rows.shape[1]), rows.T @ targets)
    rows, targets = design('val')
    found = [ccc(targets[:, k], (rows @ weights)[:, k]) for k in range(2)]
    assert min(found) > 0.4, found
    assert max(found) < 0.9, found  # something is left for temporal models


def test_audio_tells_later_than_the_face(large: tuple[Path, DemoSummary]) -> None:
    labels = read_labels(large[0], 'val')
    name = max(labels, key=lambda key: len(labels[key]))

    def best_lag(feature: str) -> int:
        values = read_features(large[0], 'val', feature)[name].astype(np.float64)
        columns = np.column_stack([values, np.ones(len(values))])

        def residual(lag: int) -> float:
            target = labels[name][: len(values) - lag]
            return float(
                np.linalg.lstsq(columns[lag:], target, rcond=None)[1].sum() / target.var(axis=0).sum()
            )

        return min(range(0, 31, 3), key=residual)

    assert best_lag('affectnet') < best_lag('vggish')


def test_same_seed_same_data_other_seed_other_data(tmp_path: Path) -> None:
    for folder, seed in [('a', 5), ('b', 5), ('c', 6)]:
        make_demo_data(tmp_path / folder, seed, (3, 2, 1), 0.05)
    for partition in ('train', 'val', 'test'):
        for feature in ('affectnet', 'vggish', 'egemaps'):
            a, b, c = (read_features(tmp_path / folder, partition, feature) for folder in 'abc')
            assert list(a) == list(b)
            assert all((a[name] == b[name]).all() for name in a)
            assert not any(a[name].shape == c[name].shape and (a[name] == c[name]).all() for name in a)
    a, b = (read_labels(tmp_path / folder, 'train') for folder in 'ab')
    assert all((a[name] == b[name]).all() for name in a)


def test_can_do_without_test_videos(tmp_path: Path) -> None:
    summary = make_demo_data(tmp_path / 'data', videos=(1, 2, 0), scale=0.01)
    assert summary.frames['test'] == 0
    assert not (tmp_path / 'data/targets/test_valid_targets.h5').exists()


@pytest.mark.parametrize(('videos', 'scale'), [((0, 2, 1), 1.0), ((1, 1, 1), 1.0), ((1, 2, 1), 0.0)])
def test_refuses_too_little(tmp_path: Path, videos: tuple[int, int, int], scale: float) -> None:
    with pytest.raises(ConfigError, match='at least'):
        make_demo_data(tmp_path / 'data', videos=videos, scale=scale)


def test_refuses_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / 'mine').touch()
    with pytest.raises(DataError, match='not an empty folder'):
        make_demo_data(tmp_path)


def test_command_line(tmp_path: Path) -> None:
    options = ('--seed', 1, '--videos', 3, 2, 1, '--scale', '.02')
    first = tool_here('make_demo_data', tmp_path / 'data', *options)
    assert first.returncode == 0, first.stderr
    assert 'train    3 videos' in first.stdout
    again = tool_here('make_demo_data', tmp_path / 'data', *options)
    assert again.returncode == 2
    assert again.stderr.startswith('error: ')
    assert 'not an empty folder' in again.stderr


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'seed': -1}, 'seed -1: give a whole number of 0 or above'),
        ({'scale': 1e12}, r'scale 1e\+12: at most .* a scale of at most 20'),
        ({'scale': float('inf')}, 'scale inf: at most'),
        ({'videos': (10**12, 2, 1)}, 'at most 100,000 videos of a partition'),
    ],
)
@pytest.mark.parametrize('make', [make_demo_data, make_demo_trials])
def test_numbers_out_of_range_are_refused_before_anything_is_made(
    tmp_path: Path, make: Callable[..., object], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make(tmp_path / 'x', **options)
    assert not any(tmp_path.iterdir())
