from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from small_rucaim3 import edit, write_rucaim3
from tool_here import tool_here


def check(target: Path) -> subprocess.CompletedProcess[str]:
    return tool_here('check_data', target)


def test_table_and_exit_code(tmp_path: Path) -> None:
    root = write_rucaim3(tmp_path / 'data', {'train': {'b': 5, 'a': 7}, 'val': {'c': 4}, 'test': {'d': 6}})
    sound = check(root)
    assert (sound.returncode, sound.stderr) == (0, '')
    assert sound.stdout.splitlines()[-1] == '0 errors, 0 warnings, 0 notes'

    edit(root, 'targets/train_valid_targets', lambda f: f['b/valence'].__setitem__(0, -5))
    noted = check(root)
    assert noted.returncode == 0
    assert noted.stdout.splitlines()[-1] == '0 errors, 0 warnings, 1 note'

    edit(root, 'features/train_face_pose', lambda f: f['a/fts'].__setitem__((3, 1), np.inf))
    spoilt = check(root)
    assert spoilt.returncode == 1
    title, error, note = spoilt.stdout.splitlines()[:3]
    assert title.split() == ['severity', 'check', 'partition', 'video', 'feature', 'found']
    assert error.split()[:6] == ['error', 'not', 'finite', 'train', 'a', 'face_pose']
    assert 'first in frame 3' in error
    assert note.startswith('note')


def test_nothing_to_check_is_exit_code_2(tmp_path: Path) -> None:
    done = check(tmp_path)
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr.startswith('error: ')
