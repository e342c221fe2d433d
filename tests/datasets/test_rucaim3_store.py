from __future__ import annotations

import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_rucaim3 import edit, write_rucaim3

from abawfw.datasets.stores import RUCAIM3Store, open_store
from abawfw.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_rucaim3(tmp_path / 'data', {'train': {'b': 5, 'a': 7}, 'val': {'c': 4}, 'test': {'d': 6}})


def test_videos_features_and_arrays_are_those_on_disk(root: Path) -> None:
    store = open_store(root)
    assert isinstance(store, RUCAIM3Store)
    assert [(v.video_id, v.partition, v.num_frames, v.has_labels) for v in store.videos()] == [
        ('b', 'train', 5, True),
        ('a', 'train', 7, True),
        ('c', 'val', 4, True),
        ('d', 'test', 6, False),
    ]
    assert {name: (f.dims, f.dtype) for name, f in store.features().items()} == {
        'face_pose': ((3,), 'float32')
    }
    with h5py.File(root / 'features/train_face_pose.h5') as file:
        np.testing.assert_array_equal(store.read('a', 'face_pose', 2, 6), file['a/fts'][2:6])
    with h5py.File(root / 'targets/train_valid_targets.h5') as file:
        np.testing.assert_array_equal(store.labels('a', 1, 7)[:, 1], file['a/arousal'][1:7])
    assert np.isnan(store.labels('d', 0, 6)).all()
    assert store.observed('a', 'face_pose', 0, 7).all()


def test_what_the_store_does_not_have_is_named_with_the_nearest_right_name(root: Path) -> None:
    store = RUCAIM3Store(root)
    with pytest.raises(DataError, match=r"no feature 'facepose'; did you mean 'face_pose'\?"):
        store.read('a', 'facepose', 0, 1)
    with pytest.raises(DataError, match=r"no video 'zz'; there are: a, b, c, d"):
        store.labels('zz', 0, 1)
    with pytest.raises(DataError, match="frames 3 to 8 asked of video 'a', which has 7"):
        store.read('a', 'face_pose', 3, 8)
    with pytest.raises(DataError, match='no such folder'):
        RUCAIM3Store(root / 'nowhere')
    with pytest.raises(DataError, match='no targets/'):
        RUCAIM3Store(root / 'features')


def test_a_feature_that_one_partition_lacks_is_not_offered(root: Path) -> None:
    (root / 'features/val_face_pose.h5').unlink()
    store = RUCAIM3Store(root)
    assert store.features() == {}
    with pytest.raises(DataError, match=r'no feature .face_pose.: no .*val_face_pose\.h5'):
        store.read('a', 'face_pose', 0, 1)


def test_length_mismatch_names_feature_video_and_both_lengths(root: Path) -> None:
    def shorten(file: h5py.File) -> None:
        values = file['a/fts'][:6]
        del file['a/fts']
        file['a/fts'] = values

    edit(root, 'features/train_face_pose', shorten)
    store = RUCAIM3Store(root)
    store.read('b', 'face_pose', 0, 5)
    with pytest.raises(DataError, match=r"'face_pose' of video 'a' has 6 frames, its labels have 7"):
        store.read('a', 'face_pose', 0, 3)


def test_minus_five_and_nan_are_no_label_and_other_values_outside_are_refused(root: Path) -> None:
    def spoil(file: h5py.File) -> None:
        file['a/valence'][2:4] = -5
        file['a/arousal'][5] = np.nan
        file['b/arousal'][3] = 1.5

    edit(root, 'targets/train_valid_targets', spoil)
    store = RUCAIM3Store(root)
    assert np.isnan(store.labels('a', 0, 7)).all(axis=1).tolist() == [
        False,
        False,
        True,
        True,
        False,
        True,
        False,
    ]
    assert not np.isnan(store.labels('a', 0, 2)).any()
    with pytest.raises(DataError, match=r"video 'b', frame 3: arousal is 1\.5"):
        store.labels('b', 1, 5)


def test_empty_and_duplicate_videos_are_refused(tmp_path: Path) -> None:
    empty = write_rucaim3(tmp_path / 'empty', {'train': {'a': 3, 'x': 0, 'y': 0}, 'val': {'b': 2}})
    with pytest.raises(DataError, match="video 'x', 'y' has no frames"):
        RUCAIM3Store(empty)
    twice = write_rucaim3(tmp_path / 'twice', {'train': {'a': 3}, 'val': {'b': 2, 'a': 3}})
    with pytest.raises(DataError, match="video 'a' is there 2 times, in train and in val"):
        RUCAIM3Store(twice)


@pytest.mark.parametrize('name', ['targets/train_valid_targets.h5', 'features/train_face_pose.h5'])
def test_truncated_file_is_named(root: Path, name: str) -> None:
    path = root / name
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(DataError, match=rf'{path.name}: truncated or damaged'):
        RUCAIM3Store(root).read('a', 'face_pose', 0, 1)


def test_valid_mask_and_frame_rate_are_read(root: Path) -> None:
    edit(root, 'features/train_face_pose', lambda f: f.create_dataset('a/valid', data=[1, 1, 0, 0, 1, 1, 1]))
    edit(root, 'targets/train_valid_targets', lambda f: f.create_dataset('a/fps', data=29.97))
    store = RUCAIM3Store(root)
    assert store.observed('a', 'face_pose', 1, 5).tolist() == [True, False, False, True]
    assert store.video('a').fps == pytest.approx(29.97)
    assert store.video('b').fps is None


def test_float64_becomes_float32_and_small_types_stay(root: Path) -> None:
    for name, dtype in (('double', 'f8'), ('half', 'f2'), ('pixels', 'u1')):
        for partition, videos in (('train', 'ba'), ('val', 'c'), ('test', 'd')):
            with h5py.File(root / 'features' / f'{partition}_{name}.h5', 'w') as file:
                for video in videos:
                    frames = RUCAIM3Store(root).video(video).num_frames
                    file[f'{video}/fts'] = np.ones((frames, 2, 2), dtype)
    store = RUCAIM3Store(root)
    found = {name: store.read('a', name, 0, 2).dtype.name for name in ('double', 'half', 'pixels')}
    assert found == {'double': 'float32', 'half': 'float16', 'pixels': 'uint8'}
    assert store.features()['pixels'].dims == (2, 2)


def test_moments_of_train_come_from_the_file_and_others_from_a_pass(root: Path) -> None:
    store = RUCAIM3Store(root)
    everything = np.concatenate([store.read(v, 'face_pose', 0, n) for v, n in (('a', 7), ('b', 5))]).astype(
        float
    )
    mean, std = store.moments('face_pose', ['a', 'b'])
    np.testing.assert_allclose(mean, everything.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(std, everything.std(axis=0), rtol=1e-12)
    stored = everything.mean(axis=0) + 0.125, everything.std(axis=0) * [1, 0, 1.25]
    store_moments(root, *stored)
    mean, std = RUCAIM3Store(root).moments('face_pose', ['a', 'b'])
    np.testing.assert_array_equal(mean, stored[0])
    np.testing.assert_array_equal(std, [stored[1][0], 1, stored[1][2]])
    assert RUCAIM3Store(root).moments('face_pose', ['a'])[0] == pytest.approx(everything[:7].mean(axis=0))


def store_moments(root: Path, mean: np.ndarray, std: np.ndarray) -> None:
    (root / 'features/mean_std_on_trn').mkdir(exist_ok=True)
    with h5py.File(root / 'features/mean_std_on_trn/face_pose.h5', 'w') as file:
        file['train/mean'], file['train/std'] = mean, std


@pytest.mark.parametrize(('factor', 'offset'), [(10, 100), (1, 2), (0.1, 0), (-1, 5)])
def test_stored_statistics_of_other_features_are_refused(
    tmp_path: Path, factor: float, offset: float
) -> None:
    root = write_rucaim3(tmp_path / 'data', {'train': {'b': 300, 'a': 700, 'e': 40}, 'val': {'c': 4}})
    store = RUCAIM3Store(root)
    mean, std = store.moments('face_pose', ['a', 'b', 'e'])
    store_moments(root, mean, std)
    np.testing.assert_array_equal(RUCAIM3Store(root).moments('face_pose', ['a', 'b', 'e']), (mean, std))
    del store

    def write_anew(file: h5py.File) -> None:
        for video in file:
            file[f'{video}/fts'][...] = file[f'{video}/fts'][...] * factor + offset

    edit(root, 'features/train_face_pose', write_anew)
    with pytest.raises(DataError) as error:
        RUCAIM3Store(root).moments('face_pose', ['b', 'e', 'a'])
    text = str(error.value)
    assert "mean_std_on_trn/face_pose.h5: feature 'face_pose': mean " in text
    assert 'remove this file, and the statistics are computed from the data' in text
    number = int(text.split(' of number ')[1].split(' ')[0])
    for stated, true in ((mean, mean * factor + offset), (std, std * abs(factor))):
        assert f'{stated[number]:.4g}' in text
        assert f'{true[number]:.4g}' in text


def test_a_sample_that_deceives_is_not_believed(tmp_path: Path) -> None:
    """All the spread of a feature lies in a few frames, which the sample misses."""
    root = write_rucaim3(tmp_path / 'data', {'train': {'a': 5000}, 'val': {'c': 4}}, dims=1)

    def rare(file: h5py.File) -> None:
        values = np.zeros((5000, 1), np.float32)
        taken = np.linspace(0, 4999, 256).astype(int)
        values[np.setdiff1d(np.arange(5000), taken)[::500]] = 1000
        file['a/fts'][...] = values

    edit(root, 'features/train_face_pose', rare)
    mean, std = RUCAIM3Store(root).moments('face_pose', ['a'])
    store_moments(root, mean, std)
    np.testing.assert_array_equal(RUCAIM3Store(root).moments('face_pose', ['a']), (mean, std))


def test_moments_refuse_nan(root: Path) -> None:
    edit(root, 'features/train_face_pose', lambda f: f['a/fts'].__setitem__((4, 1), np.nan))
    with pytest.raises(DataError, match=r"'face_pose' of video 'a' .* 1 frame.*first in frame 4"):
        RUCAIM3Store(root).moments('face_pose', ['b', 'a'])


def test_moments_equal_those_of_the_reference(golden: Path) -> None:
    store = RUCAIM3Store(golden / 'h5_mini')
    for name in ('egemaps', 'head_pose'):
        with h5py.File(golden / f'h5_mini/features/mean_std_on_trn/{name}.h5') as file:
            expected = file['train/mean'][:], file['train/std'][:]
        train = [v.video_id for v in store.videos() if v.partition == 'train']
        for found in (store.moments(name, train), super(RUCAIM3Store, store).moments(name, train)):
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


def test_pickle_and_fork_open_their_own_files(root: Path) -> None:
    store = RUCAIM3Store(root)
    expected = store.read('a', 'face_pose', 0, 7)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store)).read('a', 'face_pose', 0, 7), expected)
    child = os.fork()
    if child == 0:  # what a data loader's worker does
        os._exit(0 if np.array_equal(store.read('a', 'face_pose', 0, 7), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(store.read('a', 'face_pose', 0, 7), expected)
