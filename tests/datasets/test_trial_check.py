from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from small_trials import array, replace, write_trials
from test_check import only
from tool_here import tool_here

from abawfw.apis.check_data import check_data

TRIALS = {f't{i}': (6 + i, 'train') for i in range(4)} | {'v': (5, 'validate'), 'e': (4, 'extra')}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_trials(tmp_path / 'data', TRIALS)


def test_sound_data_have_no_findings(root: Path) -> None:
    report = check_data(root)
    assert report.problems == ()
    assert len(report.videos) == 6
    assert report.features == ('bert', 'logmel', 'mfcc', 'video')


def test_broken_trials_do_not_hide_what_is_wrong_with_others(root: Path) -> None:
    shutil.rmtree(root / 'compacted_48/t0')
    (root / 'compacted_48/t1/VA_continuous_label.npy').unlink()
    labels = array(root, 't2', 'VA_continuous_label')
    labels[3, 1] = 1.5
    replace(root, 't2', 'VA_continuous_label', labels)
    (root / 'compacted_48/t2/bert.npy').write_bytes(b'nothing')
    replace(root, 't3', 'bert', np.ones((8, 5)))
    replace(root, 't3', 'mfcc', np.full((9, 3), 'x'))
    bert = array(root, 'v', 'bert')
    bert[2, 0] = np.inf
    replace(root, 'v', 'bert', bert)
    (root / 'mean_std_info.pkl').write_bytes(b'')
    report = check_data(root)
    assert {(p.video_id, p.partition) for p in report.problems if p.check == 'trial'} == {
        ('t0', 'train'),
        ('t1', 'train'),
    }
    assert 'arousal is outside [-1, 1] in 1 frame, first 1.5 in frame 3' in only(report, 'label range').text
    unreadable = [p.text for p in report.problems if p.check == 'unreadable']
    assert ['t2/bert.npy: ' in text for text in unreadable] == [True, False], unreadable
    assert any('t3/mfcc.npy: holds <U1' in p.text for p in report.problems if p.check == 'unreadable')
    assert '8 frames, the labels 9' in only(report, 'length').text
    assert (only(report, 'not finite').video_id, only(report, 'not finite').feature) == ('v', 'bert')
    assert 'mean_std_info.pkl: damaged' in only(report, 'statistics').text
    assert report.count('error') == 8


def test_a_feature_that_some_trials_lack_is_listed_for_each(root: Path) -> None:
    for trial in ('t1', 'v'):
        (root / f'compacted_48/{trial}/bert.npy').unlink()
    report = check_data(root)
    missing = [p for p in report.problems if p.check == 'missing']
    assert [(p.video_id, p.feature) for p in missing] == [('t1', 'bert'), ('v', 'bert')]
    assert 't1/bert.npy: no such file' in missing[0].text
    assert [p.partition for p in report.problems if p.check == 'feature'] == ['train', 'val']


def test_missing_faces_are_counted_and_trials_without_any_named(root: Path) -> None:
    video = array(root, 't1', 'video')
    video[:3] = 0
    replace(root, 't1', 'video', video)
    replace(root, 't2', 'video', np.zeros((8, 6, 6, 3), np.uint8))
    report = check_data(root)
    never = only(report, 'never observed')
    assert (never.severity, never.video_id, never.feature) == ('warning', 't2', 'video')
    assert 'in none of its 8 frames' in never.text
    assert 'in 19 of 30 frames, 63.3%' in only(report, 'valid frames').text
    assert report.count('error') == 0


def test_the_same_content_under_two_names_is_found(root: Path) -> None:
    shutil.rmtree(root / 'compacted_48/e')
    shutil.copytree(root / 'compacted_48/t0', root / 'compacted_48/e')
    shutil.copytree(root / 'compacted_48/t1', root / 'compacted_48/t2', dirs_exist_ok=True)
    trials = TRIALS | {'t2': TRIALS['t1'], 'e': (6, 'extra')}
    shutil.rmtree(root / 'compacted_48/t3')
    write_trials(root.parent / 'list', trials)
    shutil.copy(root.parent / 'list/dataset_info.pkl', root)
    report = check_data(root)
    found = {p.video_id: p.text for p in report.problems if p.check == 'duplicate'}
    assert found['t1'].startswith('the same content as t2')
    assert found['t0'].startswith('the same content as e')


def test_a_folder_without_a_readable_list_is_one_error(root: Path) -> None:
    (root / 'dataset_info.pkl').write_bytes(b'cos\nsystem\n(S"true"\ntR.')
    report = check_data(root)
    assert 'dataset_info.pkl: refused: it asks for os.system' in only(report, 'store').text


def test_table_and_exit_code(root: Path) -> None:
    replace(root, 't3', 'bert', np.ones((8, 5)))
    done = tool_here('check_data', root)
    assert (done.returncode, done.stderr) == (1, '')
    assert done.stdout.splitlines()[1].split()[:5] == ['error', 'length', 'train', 't3', 'bert']
