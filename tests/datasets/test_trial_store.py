from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_trials import TRIALS, array, replace, write_pickle, write_trials
from tool_here import tool_here

from abawfw.datasets.stores import TrialStore, open_store
from abawfw.datasets.stores.packed.pack import pack_store
from abawfw.datasets.stores.trials.files import TrialArray
from abawfw.datasets.stores.trials.writer import TrialWriter
from abawfw.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_trials(tmp_path / 'data')


def test_videos_features_and_arrays_are_those_on_disk(root: Path) -> None:
    store = open_store(root)
    assert isinstance(store, TrialStore)
    # train before val before test, whatever the order of the lists; unused trials are omitted
    assert [(v.video_id, v.partition, v.num_frames, v.has_labels) for v in store.videos()] == [
        ('b', 'train', 5, True),
        ('a', 'train', 7, True),
        ('c', 'val', 4, True),
        ('d', 'test', 6, False),
    ]
    assert {name: (f.dims, f.dtype) for name, f in store.features().items()} == {
        'bert': ((5,), 'float64'),
        'logmel': ((4, 2), 'float16'),
        'mfcc': ((3,), 'float32'),
        'video': ((6, 6, 3), 'uint8'),
    }
    given = {'bert': 'float32', 'logmel': 'float16', 'mfcc': 'float32', 'video': 'uint8'}
    for name, dtype in given.items():
        for start, stop in ((0, 7), (2, 5), (3, 3)):
            values = store.read('a', name, start, stop)
            assert values.dtype.name == dtype
            np.testing.assert_array_equal(values, array(root, 'a', name)[start:stop].astype(dtype))
            assert values.flags.c_contiguous
    labels = array(root, 'a', 'VA_continuous_label')
    np.testing.assert_array_equal(store.labels('a', 1, 6), labels[1:6].astype(np.float32))
    assert np.isnan(store.labels('d', 0, 6)).all()


def test_minus_five_and_nan_are_no_label_and_other_values_outside_are_refused(root: Path) -> None:
    labels = array(root, 'a', 'VA_continuous_label')
    labels[2, 0], labels[4] = np.nan, -5
    replace(root, 'a', 'VA_continuous_label', labels)
    unlabelled = np.isnan(TrialStore(root).labels('a', 0, 7)).all(axis=1)
    assert unlabelled.tolist() == [False, False, True, False, True, False, False]
    labels[5, 1] = 1.25
    replace(root, 'a', 'VA_continuous_label', labels)
    with pytest.raises(DataError, match=r"video 'a', frame 5: arousal is 1\.25"):
        TrialStore(root).labels('a', 3, 7)


def test_masks_and_black_frames_tell_what_was_observed(root: Path) -> None:
    video = array(root, 'a', 'video')
    video[[1, 4]] = 0
    video[5] = 0
    video[5, 3, 2, 1] = 1  # one dark point is a picture
    replace(root, 'a', 'video', video)
    replace(root, 'b', 'video_valid', np.array([1, 0, 1, 1, 0], bool))
    replace(root, 'a', 'bert_valid', np.array([0, 1, 1, 1, 1, 1, 0], bool))
    store = TrialStore(root)
    assert sorted(store.features()) == ['bert', 'logmel', 'mfcc', 'video']
    assert store.observed('a', 'video', 0, 7).tolist() == [True, False, True, True, False, True, True]
    assert store.observed('a', 'video', 4, 6).tolist() == [False, True]
    assert store.observed('b', 'video', 1, 4).tolist() == [False, True, True]
    assert store.observed('a', 'bert', 5, 7).tolist() == [True, False]
    assert store.observed('b', 'bert', 0, 5).all()
    assert store.observed('a', 'video', 0, 7).dtype == bool


def test_a_trial_without_any_face_is_legal(root: Path) -> None:
    replace(root, 'a', 'video', np.zeros((7, 6, 6, 3), np.uint8))
    assert not TrialStore(root).observed('a', 'video', 0, 7).any()


@pytest.mark.parametrize(
    ('mask', 'message'),
    [
        (np.ones(6, bool), r'a/video_valid\.npy: holds bool of shape \(6,\), expected bool of shape \(7,\)'),
        (np.ones(7, np.int64), r'holds int64 of shape \(7,\)'),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(root: Path, mask: np.ndarray, message: str) -> None:
    replace(root, 'a', 'video_valid', mask)
    with pytest.raises(DataError, match=message):
        TrialStore(root).observed('a', 'video', 0, 1)


def test_another_length_names_trial_file_and_both_lengths(root: Path) -> None:
    replace(root, 'a', 'bert', np.ones((6, 5), np.float32))
    store = TrialStore(root)
    assert store.feature('mfcc').dims == (3,)  # what is not asked for does not stand in the way
    with pytest.raises(DataError, match=r"a/bert\.npy: .* trial 'a' has 6 frames, dataset_info\.pkl says 7"):
        store.feature('bert')
    replace(root, 'c', 'VA_continuous_label', np.zeros((5, 2)))
    with pytest.raises(DataError, match=r"c/VA_cont.*trial 'c' have shape \(5, 2\), .* says \(4, 2\)"):
        TrialStore(root)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        (np.array([[object()] * 5] * 7), r'a/bert\.npy: holds object of shape \(7, 5\), expected numbers'),
        (np.ones((7, 5), np.complex64), 'holds complex64'),
        (np.full((7, 5), 'x'), 'holds <U1'),
        (np.ones(7, np.float32), r'has shape \(7,\), expected \(frames, dims\)'),
        (np.ones((7, 4), np.float32), r"trial 'a' has \(4,\) numbers per frame, that of 'b' has \(5,\)"),
        (np.ones((7, 5), np.uint8), r"trial 'a' is uint8, that of 'b' is float64"),
    ],
)
def test_another_type_or_shape_is_refused_before_anything_is_read(
    root: Path, values: np.ndarray, message: str
) -> None:
    replace(root, 'a', 'bert', values)
    with pytest.raises(DataError, match=message):
        TrialStore(root).feature('bert')


def test_labels_of_a_wrong_type_are_refused(root: Path) -> None:
    replace(root, 'a', 'VA_continuous_label', np.full((7, 2), None))
    with pytest.raises(DataError, match=r'VA_continuous_label\.npy: holds object'):
        TrialStore(root)


def test_missing_labels_folders_and_features_are_named(root: Path) -> None:
    (root / 'compacted_48/a/bert.npy').unlink()
    (root / 'compacted_48/d/bert.npy').unlink()
    store = TrialStore(root)
    assert 'bert' not in store.features()
    with pytest.raises(DataError, match=r"'bert' is missing in 2 of 4 trials: no bert\.npy of 'a', 'd';"):
        store.feature('bert')
    with pytest.raises(DataError, match="no feature 'vidio'; did you mean 'video'"):
        store.read('a', 'vidio', 0, 1)
    (root / 'compacted_48/a/VA_continuous_label.npy').unlink()
    with pytest.raises(DataError, match=r"a/VA_continuous_label\.npy: no such file, and trial 'a' .*'train'"):
        TrialStore(root)
    shutil.rmtree(root / 'compacted_48/b')
    with pytest.raises(DataError, match=r"compacted_48/b: No such file.*lists trial 'b' with 5 frames"):
        TrialStore(root)
    with pytest.raises(DataError, match=r'neither trials\.json nor dataset_info\.pkl'):
        TrialStore(root / 'compacted_48')
    with pytest.raises(
        DataError,
        match=r'no store of a known kind.*packed: index\.json; rucaim3: targets/; trials: trials\.json or d',
    ):
        open_store(root / 'compacted_48')


def test_missing_files_of_a_listed_feature_are_named(tmp_path: Path) -> None:
    root = tmp_path / 'ours'
    with TrialWriter(root, {'pose': (3,), 'sound': (2,)}) as writer:
        for name in ('t', 'u', 'v'):
            features = {'pose': np.zeros((4, 3)), 'sound': np.zeros((4, 2))}
            writer.add(name, 'train', features, np.zeros((4, 2)))
    for name in ('t', 'v'):
        (root / name / 'pose.npy').unlink()
    message = r"'pose' is missing in 2 of 3 trials: no pose\.npy of 't', 'v'; extract it for these, or leave"
    with pytest.raises(DataError, match=message):
        TrialStore(root).feature('pose')
    assert TrialStore(root).feature('sound').dims == (2,)
    for name in ('t', 'u', 'v'):
        np.save(root / name / 'more.npy', np.zeros((4, 1)))
    with pytest.raises(DataError, match="no feature 'more'; "):
        TrialStore(root).feature('more')


def test_a_truncated_array_is_named(root: Path) -> None:
    path = root / 'compacted_48/a/video.npy'
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(DataError, match=r'a/video\.npy: \d+ bytes, its header asks for'):
        TrialStore(root).feature('video')
    os.truncate(path, 20)
    with pytest.raises(DataError, match=r'a/video\.npy: .* truncated or damaged'):
        TrialStore(root).feature('video')
    path.write_bytes(b'no array')
    with pytest.raises(DataError, match=r'a/video\.npy: .* truncated or damaged'):
        TrialStore(root).feature('video')


def test_an_array_that_shrinks_while_it_is_used_is_refused(root: Path) -> None:
    store = TrialStore(root)
    store.read('a', 'video', 0, 7)
    path = root / 'compacted_48/a/video.npy'
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(DataError, match=r'a/video\.npy: rows 5 to 7'):
        store.read('a', 'video', 5, 7)


def test_byte_order_of_another_machine_is_understood(root: Path) -> None:
    expected = np.linspace(0, 1, 35).reshape(7, 5)
    replace(root, 'a', 'bert', expected.astype('>f4'))
    values = TrialStore(root).read('a', 'bert', 2, 6)
    assert values.dtype == np.float32
    assert values.dtype.isnative
    np.testing.assert_array_equal(values, expected[2:6].astype(np.float32))


@pytest.mark.parametrize(
    'data_folder',
    [
        'compacted_48',
        'compacted_48/',
        './compacted_48',
        '/home/someone/affwild2/compacted_48',
        'D:\\abaw\\compacted_48',
        '../elsewhere/compacted_48',
        ['compacted_48'] * len(TRIALS),
        [f'/home/someone/compacted_48/{name}' for name in TRIALS],
        np.array(['compacted_48'] * len(TRIALS)),
        np.array([b'compacted_48'] * len(TRIALS)),  # text of Python 2
        np.array(['compacted_48'] * len(TRIALS), dtype=object),
    ],
)
def test_the_folder_of_the_trials_is_looked_for_below_the_root(tmp_path: Path, data_folder: object) -> None:
    root = write_trials(tmp_path / 'data', data_folder=data_folder)
    if isinstance(data_folder, list) and data_folder[0] != 'compacted_48':
        # folders of the trials themselves: their last part is directly below the root
        for name in 'abcd':
            (root / 'compacted_48' / name).rename(root / name)
    assert TrialStore(root).read('a', 'video', 0, 7).shape == (7, 6, 6, 3)


def test_trials_may_lie_in_the_root_itself(tmp_path: Path) -> None:
    root = write_trials(tmp_path / 'data', folder='.', data_folder='')
    assert len(TrialStore(root).videos()) == 4
    write_trials(tmp_path / 'other', folder='.', data_folder='/somewhere/other')
    assert len(TrialStore(tmp_path / 'other').videos()) == 4
    renamed = (tmp_path / 'other').rename(tmp_path / 'renamed')
    assert len(TrialStore(renamed).videos()) == 4


@pytest.mark.parametrize(
    ('info', 'message'),
    [
        (
            {'partition': ['train'] * 4 + ['dev']},
            r"trial 'c' is in partition 'dev'; there are train, validate",
        ),
        ({'length': [1, 2]}, r"'trial': 5, 'length': 2"),
        ({'length': 'abcde'}, 'length is str'),
        ({'length': [5.5] * 5}, r"trial 'b' has length 5\.5"),
        ({'length': [0] * 5}, 'has no frames'),
        ({'length': [True] * 5}, "trial 'b' has length True, expected a whole number"),
        ({'length': [10**30] * 5}, 'frames; no more than 1,000,000,000 are read'),
        ({'partition': [['train']] * 5}, "the partition of trial 'b' is list, expected text"),
        ({'trial': [('b',), 'a', 'x', 'd', 'c']}, 'a trial is tuple, expected text'),
        ({'trial': ['b\0', 'a', 'x', 'd', 'c']}, 'text with a NUL'),
        ({'trial': ['b', 'b', 'x', 'd', 'c'], 'length': [5, 5, 3, 6, 4]}, "'b' is there 2 times"),
        ({'trial': ['../b', 'a', 'x', 'd', 'c']}, r"'\.\./b' cannot be a name"),
        ({'trial': ['b', '..', 'x', 'd', 'c']}, r"'\.\.' cannot be a name"),
        ({'partition': ['unused'] * 5}, 'lists no trial'),
    ],
)
def test_a_contradicting_list_of_trials_is_refused(tmp_path: Path, info: dict, message: str) -> None:
    root = write_trials(tmp_path / 'data', **info)
    with pytest.raises(DataError, match=message):
        TrialStore(root)


def test_a_list_that_is_none_is_refused(root: Path) -> None:
    write_pickle(root, {'trial': [], 'partition': []})
    with pytest.raises(DataError, match=r'dataset_info\.pkl: no list length; there are trial, partition'):
        TrialStore(root)
    write_pickle(root, [1, 2])
    with pytest.raises(DataError, match='holds list, expected a dict'):
        TrialStore(root)


def test_our_index_is_read_instead_of_the_pickle(root: Path, tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    with TrialWriter(tmp_path / 'ours', {'pose': (3,)}) as writer:
        writer.add('t', 'train', {'pose': values}, np.zeros((4, 2)), fps=12.5)
    (tmp_path / 'ours/dataset_info.pkl').write_bytes(b'never looked at')
    store = open_store(tmp_path / 'ours')
    assert [(v.video_id, v.fps) for v in store.videos()] == [('t', 12.5)]
    np.testing.assert_array_equal(store.read('t', 'pose', 1, 3), values[1:3])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda d: d.update(version=2), r"'abawfw-trials', 2\), this code reads"),
        (lambda d: d.update(format='other'), "are .'other', 1"),
        (lambda d: d['trials'][0].pop('length'), "KeyError: 'length'"),
        (lambda d: d['trials'][0].update(trial='../t'), r"'\.\./t' cannot be a name"),
        (lambda d: d['trials'][0].update(partition='dev'), "trial 't' is in partition 'dev'"),
        (lambda d: d['features'].update({'../x': {'dims': [1], 'dtype': 'float32'}}), 'cannot be a name'),
        (lambda d: d['trials'][0].update(length=5), r'have shape \(4, 2\), trials\.json says \(5, 2\)'),
        (lambda d: d['trials'][0].update(length=float('inf')), 'inf is no whole number'),
        (lambda d: d['trials'][0].update(length=True), 'True is no whole number'),
        (
            lambda d: d['trials'][0].update(length=2e9),
            "'t' has 2,000,000,000 frames; no more than 1,000,000,000",
        ),
        (lambda d: d['trials'][0].update(fps=float('inf')), 'inf is no frame rate'),
        (lambda d: d['trials'][0].update(labels='no'), 'no where true or false is expected'),
        (lambda d: d['trials'][0].update(trial=3), 'int cannot be a name'),
        (lambda d: d['trials'][0].update(trial='t\ud800'), r't\\ud800'),
        (lambda d: d['features']['pose'].update(dims=[float('inf')]), 'inf is no whole number'),
    ],
)
def test_a_damaged_index_is_refused(tmp_path: Path, change: object, message: str) -> None:
    with TrialWriter(tmp_path / 'ours', {'pose': (3,)}) as writer:
        writer.add('t', 'train', {'pose': np.zeros((4, 3))}, np.zeros((4, 2)))
    path = tmp_path / 'ours/trials.json'
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(DataError, match=message):
        TrialStore(tmp_path / 'ours')
    path.write_text('{')
    with pytest.raises(DataError, match=r'trials\.json is damaged: no JSON .* write the data set again'):
        TrialStore(tmp_path / 'ours')


def test_the_index_says_what_every_array_must_be(tmp_path: Path) -> None:
    with TrialWriter(tmp_path / 'ours', {'pose': (3,)}) as writer:
        mask = np.array([1, 0, 1, 1], bool)
        writer.add('t', 'train', {'pose': np.zeros((4, 3))}, np.zeros((4, 2)), {'pose': mask})
    np.save(tmp_path / 'ours/t/pose.npy', np.zeros((4, 2), np.float32))
    with pytest.raises(DataError, match=r'\(2,\) numbers per frame, trials\.json has \(3,\)'):
        TrialStore(tmp_path / 'ours').feature('pose')
    np.save(tmp_path / 'ours/t/pose.npy', np.zeros((4, 3), np.float32))
    (tmp_path / 'ours/t/pose_valid.npy').unlink()
    with pytest.raises(DataError, match=r'pose_valid\.npy: no such file'):
        TrialStore(tmp_path / 'ours').observed('t', 'pose', 0, 1)


def _read(store: TrialStore) -> np.ndarray:
    return store.read('a', 'video', 2, 6)


@pytest.mark.parametrize('method', ['fork', 'spawn'])
@pytest.mark.filterwarnings('ignore:.*multi-threaded.*:DeprecationWarning')
def test_a_store_can_be_used_in_other_processes(root: Path, method: str) -> None:
    store = TrialStore(root)
    expected = _read(store)
    np.testing.assert_array_equal(_read(pickle.loads(pickle.dumps(store))), expected)
    with multiprocessing.get_context(method).Pool(2) as pool:
        for found in pool.map(_read, [store] * 4):
            np.testing.assert_array_equal(found, expected)


def test_no_file_stays_open(root: Path) -> None:
    before = len(os.listdir('/proc/self/fd'))
    store = TrialStore(root)
    for video in store.videos():
        for name in store.features():
            store.read(video.video_id, name, 0, video.num_frames)
    assert len(os.listdir('/proc/self/fd')) == before


def test_opening_reads_headers_only(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrialArray, 'read', None)
    store = TrialStore(root)
    for name in store.features():
        store.feature(name)


def test_statistics_come_from_the_pickle_for_the_folds_of_the_reference(tmp_path: Path) -> None:
    trials = {f't{i}': (4, 'train') for i in range(5)} | {'v': (4, 'validate')}
    root = write_trials(tmp_path / 'data', trials)
    everything = np.concatenate([array(root, f't{i}', 'bert') for i in range(5)])
    train = [f't{i}' for i in range(5)]
    found = TrialStore(root).scalar_moments('bert', train)
    np.testing.assert_allclose(found, (everything.mean(), everything.std()), rtol=1e-6)
    stored = {'train': {'bert': {'mean': np.float64(0.25), 'std': np.float32(1.25)}}, 'validate': {}}
    write_pickle(root, {0: stored, 1: stored, 9: stored}, 'mean_std_info')
    store = TrialStore(root)
    assert store.scalar_moments('bert', train) == (0.25, 1.25)
    assert store.scalar_moments('bert', ['t0', 't1', 't2', 't3', 'v']) == (0.25, 1.25)  # fold 1
    for ids in (train[:4], [*train[1:], 'v']):  # no fold, and one that is not stored
        assert store.scalar_moments('bert', ids)[0] != 0.25
    assert store.scalar_moments('mfcc', train)[0] != 0.25
    assert store.scalar_moments('bert', train, observed=True)[0] != 0.25
    write_pickle(root, {0: {'train': {'bert': {'mean': 7.0, 'std': 1.0}}}}, 'mean_std_info')
    with pytest.raises(
        DataError, match=r"mean_std_info\.pkl: feature 'bert': mean 7 and std 1 are not those"
    ):
        store.scalar_moments('bert', train)
    write_pickle(root, {0: {'train': {'bert': {'mean': np.nan, 'std': 1.0}}}}, 'mean_std_info')
    with pytest.raises(DataError, match=r"mean_std_info\.pkl: fold 0, feature 'bert'"):
        store.scalar_moments('bert', train)
    write_pickle(root, {0: {'train': {'bert': 3}}}, 'mean_std_info')
    with pytest.raises(DataError, match=r'expected \{fold: \{partition'):
        store.scalar_moments('bert', train)


def test_it_can_be_packed(root: Path, tmp_path: Path) -> None:
    video = array(root, 'a', 'video')
    video[3] = 0
    replace(root, 'a', 'video', video)
    store = TrialStore(root)
    packed = pack_store(store, tmp_path / 'packed')
    assert packed.videos() == store.videos()
    assert {name: info.dtype for name, info in packed.features().items()} == {
        'bert': 'float32',
        'logmel': 'float16',
        'mfcc': 'float32',
        'video': 'uint8',
    }
    for name in store.features():
        np.testing.assert_array_equal(packed.read('a', name, 0, 7), store.read('a', name, 0, 7))
        np.testing.assert_array_equal(packed.observed('a', name, 0, 7), store.observed('a', name, 0, 7))


def test_the_tool_packs_trials(root: Path, tmp_path: Path) -> None:
    arguments = ('--from', 'trials', root, tmp_path / 'packed', '--features', 'bert')
    done = tool_here('pack_features', *arguments)
    assert (done.returncode, done.stderr) == (0, '')
    assert '4 videos, 22 frames' in done.stdout
