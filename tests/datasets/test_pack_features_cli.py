from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import h5py
import numpy as np
import pytest
from killed import dead_process
from small_rucaim3 import edit, write_rucaim3
from tool_here import tool_here

from abawfw.apis.cli import run
from abawfw.datasets.stores import PackedStore, RUCAIM3Store
from abawfw.datasets.stores.kinds import store_kinds
from abawfw.files import HOST
from abawfw.registry import STORES

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'pack_features.py'


def pack(*arguments: object) -> subprocess.CompletedProcess[str]:
    return tool_here('pack_features', *arguments)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_rucaim3(tmp_path / 'data', {'train': {'b': 5, 'a': 7}, 'val': {'c': 4}})


def test_packs_a_store(root: Path, tmp_path: Path) -> None:
    done = pack('--from', 'rucaim3', root, tmp_path / 'packed', '--features', 'face_pose')
    assert (done.returncode, done.stderr) == (0, '')
    assert '3 videos, 16 frames' in done.stdout
    expected = RUCAIM3Store(root).read('a', 'face_pose', 0, 7)
    np.testing.assert_array_equal(PackedStore(tmp_path / 'packed').read('a', 'face_pose', 0, 7), expected)
    done = pack('--from', 'packed', tmp_path / 'packed', tmp_path / 'half', '--dtype', 'float16')
    assert done.returncode == 0
    assert PackedStore(tmp_path / 'half').features()['face_pose'].dtype == 'float16'


def test_what_only_some_videos_have_is_named(root: Path, tmp_path: Path) -> None:
    (root / 'features/val_face_pose.h5').unlink()
    done = pack('--from', 'rucaim3', root, tmp_path / 'packed')
    assert (done.returncode, done.stderr) == (0, '')
    assert 'face_pose' not in PackedStore(tmp_path / 'packed').features()
    assert re.search(f'face_pose +omitted: {root} has it of train only\n', done.stdout)


def test_what_a_killed_call_left_is_put_right_and_said(root: Path, tmp_path: Path) -> None:
    target = tmp_path / 'packed'
    assert pack('--from', 'rucaim3', root, target).returncode == 0
    left = f'{dead_process()}@{HOST}'
    target.rename(tmp_path / f'.packed.{left}.old')
    (tmp_path / f'.packed.{left}.tmp').mkdir()
    done = pack('--from', 'rucaim3', root, target)
    assert done.returncode == 2
    assert done.stdout == f'{target}: restored as it was; the process that was replacing it was killed\n'
    assert 'exists; choose another place' in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ['data', 'packed']


@pytest.mark.parametrize('there', [False, True])
def test_interrupted(root: Path, tmp_path: Path, there: bool, capsys: pytest.CaptureFixture[str]) -> None:
    tool, target = load_tool(), tmp_path / 'packed'
    arguments = ['--from', 'rucaim3', str(root), str(target), '--overwrite']
    if there:
        assert pack(*arguments).returncode == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', ['pack_features.py', *arguments])
        patch.setattr(RUCAIM3Store, '_observed', Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(SystemExit) as end:
            run(tool.main)
    assert end.value.code == 130
    kept = 'the store there is as it was' if there else 'nothing is written'
    assert capsys.readouterr().err == f'{target}: interrupted, {kept}; the same command packs it anew\n'
    assert [p.name for p in tmp_path.glob('*packed*')] == (['packed'] if there else [])


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location('pack_features', TOOL)
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def test_every_registered_store_can_be_packed_by_its_short_name() -> None:
    class DummyTrialStore(PackedStore):
        """A store of another kind."""

    class NamedStore(PackedStore):
        """A store that says how it is called."""

        short_name = 'trials'

    assert {'packed', 'rucaim3'} <= store_kinds().keys()
    for cls, name in ((DummyTrialStore, 'dummytrial'), (NamedStore, 'trials')):
        STORES.register_module(module=cls)
        try:
            assert store_kinds()[name] is cls
        finally:
            del STORES.module_dict[cls.__name__]


def test_mistakes_are_one_message_and_exit_code_2(root: Path, tmp_path: Path) -> None:
    def spoil(file: h5py.File) -> None:
        file['a/fts'][3, 0] = np.nan

    cases = [
        (('--from', 'nothing', root, tmp_path / 'out'), "invalid choice: 'nothing'"),
        (('--from', 'rucaim3', tmp_path / 'none', tmp_path / 'out'), 'no such folder'),
        (('--from', 'rucaim3', root, root), 'exists'),
        (('--from', 'rucaim3', root, root, '--overwrite'), 'no packed store'),
        (
            ('--from', 'rucaim3', root, tmp_path / 'out', '--features', 'facepose'),
            "did you mean 'face_pose'?",
        ),
    ]
    for arguments, text in cases:
        done = pack(*arguments)
        assert done.returncode == 2
        assert text in done.stderr
        assert 'Traceback' not in done.stderr
    edit(root, 'features/train_face_pose', spoil)
    done = pack('--from', 'rucaim3', root, tmp_path / 'out')
    assert (done.returncode, done.stdout) == (2, '')
    assert "'face_pose' of video 'a' is NaN" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ['data']
