from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from small_rucaim3 import edit, write_rucaim3

from abawfw.apis.check_data import check_data
from abawfw.datasets.checking.check import DataReport, check_store
from abawfw.datasets.checking.facts import read_facts
from abawfw.datasets.stores import PackedStore, RUCAIM3Store
from abawfw.datasets.stores.packed.pack import pack_store
from abawfw.datasets.stores.records import Problem
from abawfw.errors import ConfigError, DataError

LENGTHS = {'train': {'b': 5, 'a': 7, 'e': 6}, 'val': {'c': 4}, 'test': {'d': 6}}
FEATURES = 'features/train_face_pose'
TARGETS = 'targets/train_valid_targets'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_rucaim3(tmp_path / 'data', LENGTHS)


def only(report: DataReport, check: str) -> Problem:
    found = [problem for problem in report.problems if problem.check == check]
    assert len(found) == 1, report.problems
    return found[0]


def replace(file: h5py.File, name: str, values: np.ndarray) -> None:
    del file[name]
    file[name] = values


def test_sound_data_have_no_findings(root: Path) -> None:
    report = check_data(root)
    assert report.problems == ()
    assert len(report.videos) == 5
    assert report.features == ('face_pose',)


def test_everything_is_found_at_once_and_errors_come_first(root: Path) -> None:
    def spoil_features(file: h5py.File) -> None:
        replace(file, 'a/fts', file['a/fts'][:6])
        file['b/fts'][[1, 3], 0] = np.nan
        replace(file, 'e/fts', np.ones((6, 3), np.float32))

    def spoil_targets(file: h5py.File) -> None:
        file['a/valence'][[1, 2, 5]] = -5
        file['a/arousal'][1] = -5
        file['b/arousal'][2] = -1.25
        file['e/valence'][:] = 0.5

    edit(root, FEATURES, spoil_features)
    edit(root, TARGETS, spoil_targets)
    report = check_data(root)
    assert [problem.severity for problem in report.problems] == ['error'] * 3 + ['note'] * 3
    length = only(report, 'length')
    assert (length.partition, length.video_id, length.feature) == ('train', 'a', 'face_pose')
    assert '6 frames, the labels 7' in length.text
    assert 'in 2 of 5 frames, first in frame 1' in only(report, 'not finite').text
    assert 'arousal is outside [-1, 1] in 1 frame, first -1.25 in frame 2' in only(report, 'label range').text
    assert only(report, 'no label').text == (
        '3 of 7 frames have no valid label (-5), in 2 runs, the longest 2 frames; first at frame 1; '
        '2 frames with only one of valence and arousal used for neither, first 2'
    )
    assert (only(report, 'constant').video_id, only(report, 'constant label').video_id) == ('e', 'e')
    assert 'own CCC is 0' in only(report, 'constant label').text
    assert (report.count('error'), report.count('warning'), report.count('note')) == (3, 0, 3)


def test_empty_one_frame_and_duplicate_videos_are_all_listed(tmp_path: Path) -> None:
    lengths = {'train': {'a': 3, 'x': 0, 'y': 0}, 'val': {'a': 3, 'z': 1}, 'test': {'d': 4}}
    report = check_data(write_rucaim3(tmp_path / 'data', lengths))
    assert [p.video_id for p in report.problems if p.check == 'empty'] == ['x', 'y']
    assert only(report, 'one frame').video_id == 'z'
    assert 'in train and in val' in only(report, 'duplicate').text


def test_the_same_content_under_two_names_is_found(tmp_path: Path) -> None:
    root = write_rucaim3(tmp_path / 'data', LENGTHS | {'train': {'a': 7, 'b': 7, 'e': 7, 'f': 7}})
    for name in ('valence', 'arousal'):
        edit(root, TARGETS, lambda f, name=name: f[f'b/{name}'].write_direct(f[f'a/{name}'][:]))
        edit(root, TARGETS, lambda f, name=name: f[f'e/{name}'].write_direct(f[f'f/{name}'][:]))
    edit(root, FEATURES, lambda f: f['b/fts'].write_direct(f['a/fts'][:]))
    found = {p.video_id: p.text for p in check_data(root).problems if p.check == 'duplicate'}
    assert found.keys() == {'a', 'e'}
    assert found['a'].startswith('the same content as b')
    assert found['e'].startswith('the same labels as f')


def test_broken_files_do_not_hide_the_rest(root: Path) -> None:
    path = root / f'{FEATURES}.h5'
    os.truncate(path, path.stat().st_size // 2)
    os.truncate(root / 'targets/val_valid_targets.h5', 100)
    edit(root, TARGETS, lambda f: f['a/valence'].write_direct(np.full(7, 3, np.float32)))
    report = check_data(root)
    assert 'train_face_pose.h5: truncated or damaged' in only(report, 'unreadable').text
    assert 'val_valid_targets.h5: truncated or damaged' in only(report, 'file').text
    assert only(report, 'label range').video_id == 'a'
    assert only(report, 'partition').partition == 'val'


def test_contradicting_targets_are_found(root: Path) -> None:
    edit(root, TARGETS, lambda f: replace(f, 'a/length', np.int64(9)))
    edit(root, TARGETS, lambda f: f.__delitem__('b/arousal'))
    report = check_data(root)
    assert [p.video_id for p in report.problems if p.check == 'targets'] == ['b', 'a']
    assert "'length': 9" in report.problems[1].text


@pytest.mark.parametrize('words', [['x'] * 7, np.full(7, b'0.5')])
def test_labels_and_features_that_are_no_numbers(root: Path, words: Any) -> None:
    edit(
        root, TARGETS, lambda file: [replace(file, 'a/valence', words), replace(file, 'e/arousal', words[:6])]
    )
    edit(root, FEATURES, lambda file: replace(file, 'b/fts', np.full((5, 3), b'x')))
    errors = [problem for problem in check_data(root).problems if problem.severity == 'error']
    targets, features = (root / f'{name}.h5' for name in (TARGETS, FEATURES))
    for problem, video, column in zip(errors, 'ae', ('valence', 'arousal'), strict=False):
        assert (problem.check, problem.video_id) == ('targets', video)
        found = f'{targets}: {column} of {video!r} holds no numbers, but text; write it as float32'
        assert problem.text == found
    assert len(errors) == 3
    assert f"{features}: fts of 'b' holds no numbers, but text" in errors[2].text
    with pytest.raises(DataError, match=r"valence of 'a' holds no numbers"):
        RUCAIM3Store(root)
    assert read_facts(root).report.problems == check_data(root).problems


def test_missing_video_partition_and_feature_files_are_found(root: Path) -> None:
    (root / 'features/val_face_pose.h5').unlink()
    (root / 'targets/test_valid_targets.h5').unlink()
    edit(root, FEATURES, lambda f: f.__delitem__('a'))
    report = check_data(root)
    assert only(report, 'feature').partition == 'val'
    assert only(report, 'partition').partition == 'test'
    assert "no group 'a'" in only(report, 'unreadable').text
    assert check_store(RUCAIM3Store, root, ['face_pose']).problems[0].severity == 'error'


def test_share_of_valid_frames_and_other_dimensions_are_reported(root: Path) -> None:
    edit(root, FEATURES, lambda f: f.create_dataset('a/valid', data=[1, 0, 0, 1, 1, 1, 1]))
    edit(root, FEATURES, lambda f: replace(f, 'e/fts', np.random.default_rng(0).normal(size=(6, 4))))
    report = check_data(root)
    assert 'valid) in 5 of 7 frames, 71.4%' in only(report, 'valid frames').text
    assert only(report, 'dimension').video_id == 'e'


def test_unreadable_statistics_are_found(root: Path) -> None:
    (root / 'features/mean_std_on_trn').mkdir()
    (root / 'features/mean_std_on_trn/face_pose.h5').write_bytes(b'nothing')
    assert only(check_data(root), 'statistics').feature == 'face_pose'


def test_stored_statistics_are_compared_with_all_frames(root: Path) -> None:
    frames = np.concatenate(
        [RUCAIM3Store(root).read(v, 'face_pose', 0, n) for v, n in LENGTHS['train'].items()]
    )
    mean, std = frames.mean(axis=0, dtype=float), frames.std(axis=0, dtype=float)

    def store(mean: np.ndarray, std: np.ndarray) -> DataReport:
        (root / 'features/mean_std_on_trn').mkdir(exist_ok=True)
        with h5py.File(root / 'features/mean_std_on_trn/face_pose.h5', 'w') as file:
            file['train/mean'], file['train/std'] = mean, std
        return check_data(root)

    assert store(mean, std).problems == ()
    assert store(mean + 0.05 * std, std * 0.95).problems == ()
    one = only(store(mean, std * [1, 1.3, 1]), 'statistics')
    assert (one.severity, one.feature, one.partition) == ('warning', 'face_pose', 'train')
    assert 'for 1 of its 3 numbers' in one.text
    assert f'std {std[1] * 1.3:.4g} of number 1 are not those' in one.text
    stale = only(store(mean * 10 + 100, std * 10), 'statistics')
    assert stale.severity == 'error'
    assert 'for 3 of its 3 numbers' in stale.text
    assert 'shape (2,), the feature (3,)' in only(store(mean[:2], std[:2]), 'statistics').text


def test_parts_of_a_feature_that_were_never_written_are_found(root: Path) -> None:
    def half(file: h5py.File) -> None:
        del file['a/fts']
        file.create_dataset('a/fts', (7, 3), 'f4', chunks=(1, 3))[:3] = np.random.default_rng(0).normal(
            size=(3, 3)
        )

    edit(root, FEATURES, half)
    found = only(check_data(root), 'never written')
    assert (found.severity, found.video_id, found.feature) == ('warning', 'a', 'face_pose')
    assert found.text.startswith('4 of 7 pieces (chunks) of fts were never written and read as 0')


def test_only_wanted_features_are_checked_and_unknown_ones_named(root: Path) -> None:
    edit(root, FEATURES, lambda f: f['a/fts'].__setitem__((0, 0), np.nan))
    for partition in LENGTHS:
        (root / f'features/{partition}_voice.h5').write_bytes(
            (root / f'features/{partition}_face_pose.h5').read_bytes()
        )
    edit(root, FEATURES, lambda f: f['a/fts'].__setitem__((0, 0), 0))
    report = check_store(RUCAIM3Store, root, ['face_pose', 'voise'])
    assert report.features == ('face_pose',)
    assert report.problems == (
        Problem(
            'error', 'feature', "the store has no feature 'voise'; did you mean 'voice'?", feature='voise'
        ),
    )


def test_config_gives_store_and_features(root: Path, tmp_path: Path) -> None:
    config = tmp_path / 'experiment.py'
    for store in (f'{str(root)!r}', f"dict(type='RUCAIM3Store', root={str(root)!r})"):
        config.write_text(
            "features = ['face_pse']\n"
            f"train_dataloader = dict(dataset=dict(store={store}, features='${{features}}'))\n"
        )
        assert "did you mean 'face_pose'" in only(check_data(config), 'feature').text
    store = "dict(type='RUCAIM2Store', root='')"
    config.write_text(f"features = ['a']\ntrain_dataloader = dict(dataset=dict(store={store}))\n")
    with pytest.raises(ConfigError, match=r"RUCAIM2Store'; did you mean 'RUCAIM3Store'\?"):
        check_data(config)
    config.write_text("features = ['a']\n")
    with pytest.raises(ConfigError, match='needs features and train_dataloader'):
        check_data(config)


def test_packed_store_is_checked_too(root: Path, tmp_path: Path) -> None:
    edit(root, TARGETS, lambda f: f['a/valence'].__setitem__(slice(0, 2), -5))
    packed = pack_store(RUCAIM3Store(root), tmp_path / 'packed').root
    assert '2 of 7 frames' in only(check_data(packed), 'no label').text
    values = np.load(packed / 'feature_face_pose.npy', mmap_mode='r+')
    values[6, 1] = np.inf
    values.flush()
    assert only(check_store(PackedStore, packed), 'not finite').video_id == 'a'
    os.truncate(packed / 'labels.npy', 140)
    assert 'half-written' in only(check_data(packed), 'store').text


def test_a_folder_without_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='no store of a known kind'):
        check_data(tmp_path)
    with pytest.raises(DataError, match='no such folder'):
        check_data(tmp_path / 'nowhere')


def test_real_data_are_sound(shared: Path) -> None:
    report = check_data(shared / 'data' / 'ceap360vr')
    assert (report.count('error'), report.count('warning')) == (0, 0)
    assert {v.video_id for v in report.problems if v.check == 'constant label'} == {
        'P32_V8',
        'P07_V4',
        'P15_V8',
    }
    assert [p.text.split(',')[-1] for p in report.problems if p.check == 'valid frames'] == [
        ' 56.5%',
        ' 52.7%',
        ' 48.2%',
    ]
