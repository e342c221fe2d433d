from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from abawfw.datasets.stores.rucaim3.store import RUCAIM3Store
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer
from abawfw.errors import DataError


def write_three(root: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    values = {name: rng.standard_normal((n, 3)) + 1e4 for name, n in [('z', 7), ('a', 5), ('t', 4)]}
    with RUCAIM3Writer(root, {'pose': (3,)}) as writer:
        labels = np.linspace(-1, 1, 14).reshape(7, 2)
        labels[2, 0] = np.nan
        writer.add('z', 'train', {'pose': values['z']}, labels, valid={'pose': np.arange(7) != 3}, fps=29.97)
        writer.add('a', 'train', {'pose': values['a']}, np.zeros((5, 2)))
        writer.add('t', 'test', {'pose': values['t']})
    return values


def test_layout_and_values(tmp_path: Path) -> None:
    values = write_three(tmp_path / 'data')
    with h5py.File(tmp_path / 'data/targets/train_valid_targets.h5') as file:
        assert list(file) == ['z', 'a']  # order of adding, not of the alphabet
        z = file['z']
        assert z['length'][()] == 7
        assert z['fps'][()] == 29.97
        assert 'fps' not in file['a']
        expected = np.linspace(-1, 1, 14, dtype=np.float32).reshape(7, 2)
        expected[2] = -5  # either column missing: both are
        np.testing.assert_array_equal(np.stack([z['valence'][:], z['arousal'][:]], axis=1), expected)
        assert z['valence'].dtype == np.float32
    with h5py.File(tmp_path / 'data/targets/test_valid_targets.h5') as file:
        assert list(file['t']) == ['length']
    with h5py.File(tmp_path / 'data/features/train_pose.h5') as file:
        assert list(file) == ['z', 'a']
        np.testing.assert_array_equal(file['z/fts'][:], values['z'].astype(np.float32))
        np.testing.assert_array_equal(file['z/valid'][:], [1, 1, 1, 0, 1, 1, 1])
        assert 'valid' not in file['a']
    assert not (tmp_path / 'data/targets/val_valid_targets.h5').exists()
    assert [path.name for path in tmp_path.iterdir()] == ['data']


def test_store_reads_what_was_written(tmp_path: Path) -> None:
    values = write_three(tmp_path / 'data')
    store = RUCAIM3Store(tmp_path / 'data')
    found = [(v.video_id, v.partition, v.num_frames, v.fps, v.has_labels) for v in store.videos()]
    assert found == [
        ('z', 'train', 7, 29.97, True),
        ('a', 'train', 5, None, True),
        ('t', 'test', 4, None, False),
    ]
    np.testing.assert_array_equal(store.read('z', 'pose', 2, 6), values['z'][2:6].astype(np.float32))
    np.testing.assert_array_equal(store.observed('z', 'pose', 2, 6), [True, False, True, True])
    np.testing.assert_array_equal(np.isnan(store.labels('z', 0, 7)).all(axis=1), np.arange(7) == 2)


def test_statistics_are_those_of_all_training_frames(tmp_path: Path) -> None:
    values = write_three(tmp_path / 'data')
    frames = np.concatenate([values['z'], values['a']]).astype(np.float32).astype(np.float64)
    with h5py.File(tmp_path / 'data/features/mean_std_on_trn/pose.h5') as file:
        np.testing.assert_allclose(file['train/mean'][:], frames.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(file['train/std'][:], frames.std(axis=0), rtol=1e-9)


def test_a_writer_is_closed_without_a_block(tmp_path: Path) -> None:
    writer = RUCAIM3Writer(tmp_path / 'data', {'x': (2,)})
    writer.add('a', 'train', {'x': np.ones((4, 2))})
    assert not (tmp_path / 'data').exists()
    writer.close()
    assert RUCAIM3Store(tmp_path / 'data').video('a').num_frames == 4


def test_constant_feature_gets_deviation_one(tmp_path: Path) -> None:
    with RUCAIM3Writer(tmp_path / 'data', {'x': (2,)}) as writer:
        writer.add('a', 'train', {'x': np.full((4, 2), 3.0)})
    with h5py.File(tmp_path / 'data/features/mean_std_on_trn/x.h5') as file:
        np.testing.assert_array_equal(file['train/std'][:], [1, 1])


@pytest.mark.parametrize('dtype', ['float16', 'uint8', 'float32', 'float64', 'int64'])
def test_kept_types_and_frames_of_any_shape(tmp_path: Path, dtype: str) -> None:
    crops = np.arange(24).reshape(2, 3, 4).astype(dtype)
    with RUCAIM3Writer(tmp_path / 'data', {'crop': (3, 4)}) as writer:
        writer.add('a', 'val', {'crop': crops})
    with h5py.File(tmp_path / 'data/features/val_crop.h5') as file:
        assert file['a/fts'].dtype == (dtype if dtype in ('float16', 'uint8') else 'float32')
        np.testing.assert_array_equal(file['a/fts'][:], crops)


def test_length_mismatch_names_feature_video_and_both_lengths(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r'clip: feature lum has 9 frames, labels has 10'),
        RUCAIM3Writer(tmp_path / 'data', {'lum': (2,)}) as writer,
    ):
        writer.add('clip', 'train', {'lum': np.zeros((9, 2))}, np.zeros((10, 2)))
    assert list(tmp_path.iterdir()) == []  # nothing half-written stays


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('a', 'dev', {'x': np.zeros((3, 2))}), 'dev'),
        (('a/b', 'val', {'x': np.zeros((3, 2))}), 'a/b'),
        (('a', 'val', {}), 'no values for feature x'),
        (('a', 'val', {'x': np.zeros((3, 2)), 'y': np.zeros((3, 2))}), 'feature y is not one of x'),
        (('a', 'val', {'x': np.zeros((3, 5))}), r'feature x has shape \(3, 5\)'),
        (('a', 'val', {'x': np.zeros((3, 2))}, np.zeros((3, 1))), r'labels has shape \(3, 1\)'),
        (('a', 'val', {'x': np.zeros((3, 2))}, None, {'x': np.ones(4, bool)}), 'valid mask of x has 4 .* 3'),
        (('first', 'val', {'x': np.zeros((3, 2))}), 'first: added twice, to train and to val'),
    ],
)
def test_refuses_what_does_not_fit(tmp_path: Path, arguments: tuple, message: str) -> None:
    with RUCAIM3Writer(tmp_path / 'data', {'x': (2,)}) as writer:
        writer.add('first', 'train', {'x': np.zeros((1, 2))})
        with pytest.raises(DataError, match=message):
            writer.add(*arguments)
    with h5py.File(tmp_path / 'data/targets/train_valid_targets.h5') as file:
        assert list(file) == ['first']  # a refused video leaves no trace
    assert not (tmp_path / 'data/targets/val_valid_targets.h5').exists()


def test_refuses_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / 'mine.txt').write_text('precious')
    with pytest.raises(DataError, match='not an empty folder'):
        RUCAIM3Writer(tmp_path, {'x': (2,)})
    assert (tmp_path / 'mine.txt').read_text() == 'precious'


def test_takes_an_empty_folder_and_refuses_to_write_nothing(tmp_path: Path) -> None:
    (tmp_path / 'data').mkdir()
    with pytest.raises(DataError, match='no video'), RUCAIM3Writer(tmp_path / 'data', {'x': (2,)}):
        pass
    write_three(tmp_path / 'data')
    assert (tmp_path / 'data/targets').is_dir()
