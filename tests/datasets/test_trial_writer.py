from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abawfw.datasets.stores import FeatureInfo, TrialStore
from abawfw.datasets.stores.records import VideoInfo
from abawfw.datasets.stores.trials.writer import TrialWriter
from abawfw.errors import DataError


def write_three(root: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=(n, 3)).astype(np.float32) for name, n in (('z', 7), ('a', 5), ('t', 4))}
    with TrialWriter(root, {'pose': (3,), 'crop': (2, 2, 3)}, {'crop': 'uint8'}) as writer:
        labels = np.linspace(-1, 1, 14).reshape(7, 2)
        labels[2, 0] = np.nan
        crops = {name: np.full((len(x), 2, 2, 3), len(x), np.uint8) for name, x in values.items()}
        pieces = iter([values['z'][:3], values['z'][3:3], values['z'][3:]])
        writer.add(
            'z', 'train', {'pose': pieces, 'crop': crops['z']}, labels, {'pose': np.arange(7) != 3}, 25
        )
        writer.add('a', 'val', {'pose': values['a'], 'crop': crops['a']}, np.zeros((5, 2)))
        writer.add('t', 'test', {'pose': values['t'], 'crop': crops['t']})
    return values


def test_layout_and_values_on_disk(tmp_path: Path) -> None:
    values = write_three(tmp_path / 'data')
    names = sorted(str(path.relative_to(tmp_path / 'data')) for path in (tmp_path / 'data').rglob('*.*'))
    assert names == [
        'a/VA_continuous_label.npy',
        'a/crop.npy',
        'a/pose.npy',
        't/crop.npy',
        't/pose.npy',
        'trials.json',
        'z/VA_continuous_label.npy',
        'z/crop.npy',
        'z/pose.npy',
        'z/pose_valid.npy',
    ]
    np.testing.assert_array_equal(np.load(tmp_path / 'data/z/pose.npy'), values['z'])
    labels = np.linspace(-1, 1, 14).reshape(7, 2).astype(np.float32)
    labels[2] = -5  # either column missing: both are
    np.testing.assert_array_equal(np.load(tmp_path / 'data/z/VA_continuous_label.npy'), labels)
    assert np.load(tmp_path / 'data/a/crop.npy').dtype == np.uint8
    index = json.loads((tmp_path / 'data/trials.json').read_text())
    assert index['features'] == {
        'pose': {'dims': [3], 'dtype': 'float32'},
        'crop': {'dims': [2, 2, 3], 'dtype': 'uint8'},
    }
    assert index['trials'][0] == {
        'trial': 'z',
        'partition': 'train',
        'length': 7,
        'fps': 25.0,
        'labels': True,
        'valid': ['pose'],
    }
    assert [path.name for path in tmp_path.iterdir()] == ['data']


def test_store_reads_what_was_written(tmp_path: Path) -> None:
    values = write_three(tmp_path / 'data')
    store = TrialStore(tmp_path / 'data')
    assert store.videos() == (
        VideoInfo('z', 'train', 7, 25.0, True),
        VideoInfo('a', 'val', 5, None, True),
        VideoInfo('t', 'test', 4, None, False),
    )
    assert store.features() == {
        'pose': FeatureInfo((3,), 'float32'),
        'crop': FeatureInfo((2, 2, 3), 'uint8'),
    }
    np.testing.assert_array_equal(store.read('z', 'pose', 2, 6), values['z'][2:6])
    assert store.observed('z', 'pose', 2, 6).tolist() == [True, False, True, True]
    assert np.isnan(store.labels('z', 0, 7)).all(axis=1).tolist() == [i == 2 for i in range(7)]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any))
def test_pieces_become_one_array(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    root = tmp_path_factory.mktemp('pieces') / 'data'
    values = np.arange(2 * sum(sizes), dtype=np.float32).reshape(-1, 2)
    with TrialWriter(root, {'x': (2,)}) as writer:
        writer.add('t', 'test', {'x': np.split(values, np.cumsum(sizes)[:-1])})
    np.testing.assert_array_equal(np.load(root / 't/x.npy'), values)


def test_memory_holds_one_piece_at_a_time(tmp_path: Path) -> None:
    def pieces() -> Iterator[np.ndarray]:
        for _ in range(50):
            yield np.zeros((100, 1000), np.float32)  # 400 kB of 20 MB

    tracemalloc.start()
    with TrialWriter(tmp_path / 'data', {'x': (1000,)}) as writer:
        writer.add('t', 'test', {'x': pieces()})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e6


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('a', 'dev', {'x': np.zeros((3, 2))}, np.zeros((3, 2))), "partition 'dev' is none of train, val"),
        (('a/b', 'test', {'x': np.zeros((3, 2))}), "'a/b' cannot be a name"),
        (('..', 'test', {'x': np.zeros((3, 2))}), 'cannot be a name'),
        (('.a', 'test', {'x': np.zeros((3, 2))}), 'plain folder'),
        (('trials.json', 'test', {'x': np.zeros((3, 2))}), 'plain folder'),
        (('a', 'test', {}), 'no values for feature x'),
        (('a', 'test', {'x': np.zeros((3, 2)), 'y': np.zeros((3, 2))}), 'feature y is not one of x'),
        (('a', 'test', {'x': np.zeros((3, 5))}), r'a: feature x has shape \(3, 5\)'),
        (('a', 'test', {'x': iter([np.zeros((3, 2)), np.zeros((2, 3))])}), r'feature x has shape \(2, 3\)'),
        (('a', 'test', {'x': np.zeros((0, 2))}), 'a: has no frames'),
        (('a', 'val', {'x': np.zeros((3, 2))}), 'a: no labels, which a trial of val needs'),
        (('a', 'val', {'x': np.zeros((3, 2))}, np.zeros((3, 1))), r'labels has shape \(3, 1\)'),
        (('a', 'val', {'x': np.zeros((9, 2))}, np.zeros((8, 2))), 'feature x has 9 frames, labels has 8'),
        (
            ('a', 'test', {'x': np.zeros((3, 2))}, None, {'x': np.ones(4, bool)}),
            'valid mask of x has 4 frames, feature x has 3',
        ),
        (('first', 'test', {'x': np.zeros((3, 2))}), 'first: added twice, to train and to test'),
    ],
)
def test_refuses_what_does_not_fit(tmp_path: Path, arguments: tuple, message: str) -> None:
    with TrialWriter(tmp_path / 'data', {'x': (2,)}) as writer:
        writer.add('first', 'train', {'x': np.zeros((1, 2))}, np.zeros((1, 2)))
        with pytest.raises(DataError, match=message):
            writer.add(*arguments)
        writer.add('last', 'test', {'x': np.zeros((2, 2))})
    # a refused trial leaves no trace, and others can be added
    assert sorted(path.name for path in (tmp_path / 'data').iterdir()) == ['first', 'last', 'trials.json']
    assert [v.video_id for v in TrialStore(tmp_path / 'data').videos()] == ['first', 'last']


@pytest.mark.parametrize(
    ('dtype', 'values', 'message'),
    [
        ('uint8', np.zeros((2, 2)), 'feature x holds float64, and is written as uint8'),
        ('float16', np.array([[0, 1], [7e4, 1]]), 'feature x, frame 1: a value is too large for float16'),
    ],
)
def test_values_that_the_type_cannot_hold_are_refused(
    tmp_path: Path, dtype: str, values: np.ndarray, message: str
) -> None:
    writer = TrialWriter(tmp_path / 'data', {'x': (2,)}, {'x': dtype})
    with pytest.raises(DataError, match=message), writer:
        writer.add('t', 'test', {'x': values})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('features', 'dtypes', 'message'),
    [
        ({'x': (2,)}, {'y': 'uint8'}, "type of feature 'y', which is not written"),
        ({'x': (2,)}, {'x': 'float64'}, "feature 'x' of type 'float64'; float32, float16, uint8 are written"),
        ({'x_valid': (2,)}, None, 'names that end in'),
        ({'EXPR_continuous_label': (2,)}, None, 'names that end in'),
        ({'../x': (2,)}, None, 'cannot be a name'),
    ],
)
def test_refuses_features_that_cannot_be_written(
    tmp_path: Path, features: Any, dtypes: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        TrialWriter(tmp_path / 'data', features, dtypes)
    assert list(tmp_path.iterdir()) == []


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    def interrupted() -> Iterator[np.ndarray]:
        yield np.zeros((3, 2))
        assert not (tmp_path / 'data').exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), TrialWriter(tmp_path / 'data', {'x': (2,)}) as writer:
        writer.add('a', 'test', {'x': interrupted()})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match='no trial was added'), TrialWriter(tmp_path / 'data', {'x': (2,)}):
        pass
    assert list(tmp_path.iterdir()) == []


def test_refuses_a_folder_that_holds_something_and_takes_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / 'mine.txt').write_text('precious')
    with pytest.raises(DataError, match='not an empty folder'):
        TrialWriter(tmp_path, {'x': (2,)})
    assert (tmp_path / 'mine.txt').read_text() == 'precious'
    (tmp_path / 'data').mkdir()
    write_three(tmp_path / 'data')
    assert (tmp_path / 'data/trials.json').is_file()
