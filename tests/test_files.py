"""Files and folders are whole or not there, whatever happens to who writes them."""

from __future__ import annotations

import fcntl
import logging
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest
from killed import dead_process, killed_at_every_step

from abawfw.errors import DataError
from abawfw.files import (
    HOST,
    Replacement,
    check_plain,
    lock,
    recover,
    remove_left_over,
    temporary_files,
    write_text,
)

OLD = {'a.txt': 'old a', 'sub/b.txt': 'old b'}
NEW = {'a.txt': 'new a', 'c.txt': 'new c'}


def content(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob('*') if p.is_file()}


def write_folder(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def replace(path: Path, files: dict[str, str]) -> None:
    with Replacement(path, folder=True) as temporary:
        write_folder(temporary, files)


def test_a_plain_file_a_link_to_one_and_a_missing_one_pass(tmp_path: Path) -> None:
    (tmp_path / 'a').touch()
    (tmp_path / 'link').symlink_to('a')
    for name in ('a', 'link', 'missing', 'nul\0'):
        check_plain(tmp_path / name)


def test_everything_else_is_refused_by_its_kind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    for path, kind in (
        (tmp_path / 'pipe', 'a pipe'),
        (tmp_path, 'a folder'),
        (Path('/dev/null'), 'a device'),
    ):
        with pytest.raises(DataError, match=f'{path}: is {kind}'):
            check_plain(path)


def test_a_folder_killed_at_any_step_is_the_old_or_the_new_one_or_comes_back(tmp_path: Path) -> None:
    out = tmp_path / 'here/out'

    def prepare() -> None:
        shutil.rmtree(tmp_path / 'here', ignore_errors=True)
        write_folder(out, OLD)

    told = set()
    for _ in killed_at_every_step(lambda: replace(out, NEW), prepare):
        there = out.exists()
        if there:
            assert content(out) in (OLD, NEW)
        notes = recover(out)
        assert bool(notes) == (not there)
        told |= set(notes)
        assert content(out) in (OLD, NEW)
        assert there or content(out) == OLD
        assert [p.name for p in out.parent.iterdir()] == ['out'], 'nothing is left over'
    assert content(out) == NEW, 'the last one was not killed'
    assert told == {f'{out}: restored as it was; the process that was replacing it was killed'}


def test_a_recovery_that_is_killed_as_well_goes_on(tmp_path: Path) -> None:
    out = tmp_path / 'here/out'

    def prepare() -> None:
        shutil.rmtree(tmp_path / 'here', ignore_errors=True)
        left = f'{dead_process()}@{HOST}'
        write_folder(out.with_name(f'.out.{left}.old'), OLD)
        write_folder(out.with_name(f'.out.{left}.tmp'), NEW)

    for _ in killed_at_every_step(lambda: recover(out), prepare):
        recover(out)
        assert content(out) == OLD
        assert [p.name for p in out.parent.iterdir()] == ['out']


def test_a_file_killed_at_any_step_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / 'here/out.json'

    def prepare() -> None:
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir()
        path.write_text('old')

    seen = set()
    for _ in killed_at_every_step(lambda: write_text(path, 'new'), prepare):
        seen.add(path.read_text())
        write_text(path, 'next')
        assert [p.name for p in path.parent.iterdir()] == ['out.json']
    assert seen == {'old', 'new'}


@pytest.mark.parametrize('step', range(3))
def test_a_rename_that_fails_leaves_the_old_folder(
    tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / 'out', OLD)
    real, calls = os.replace, iter(range(9))

    def fails(source: Path, target: Path) -> None:
        if next(calls) == step:
            raise PermissionError(13, 'Permission denied', str(target))
        real(source, target)

    monkeypatch.setattr(os, 'replace', fails)
    with pytest.raises(PermissionError):
        replace(tmp_path / 'out', NEW)
    monkeypatch.undo()
    assert content(tmp_path / 'out') == (OLD if step < 2 else NEW)
    recover(tmp_path / 'out')
    assert [p.name for p in tmp_path.iterdir()] == ['out']


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    write_folder(tmp_path / 'out', OLD)
    with pytest.raises(OSError, match=r'a\.txt'), Replacement(tmp_path / 'out', folder=True) as temporary:
        write_folder(temporary, NEW | {'a.txt/b': ''})
    assert content(tmp_path) == {f'out/{name}': text for name, text in OLD.items()}


def test_a_folder_that_holds_something_is_replaced_only_if_asked(tmp_path: Path) -> None:
    write_folder(tmp_path / 'out', OLD)
    (tmp_path / 'empty').mkdir()
    for name, expected in (('out', OLD), ('empty', NEW)):
        replacement = Replacement(tmp_path / name)
        write_folder(replacement.temporary, NEW)
        if name == 'out':
            with pytest.raises(OSError, match='not empty'):
                replacement.finish()
        else:
            replacement.finish()
        assert content(tmp_path / name) == expected


def test_a_link_to_a_folder_is_followed(tmp_path: Path) -> None:
    write_folder(tmp_path / 'disk/real', OLD)
    (tmp_path / 'out').symlink_to('disk/real')
    replace(tmp_path / 'out', NEW)
    assert (tmp_path / 'out').is_symlink()
    assert content(tmp_path / 'disk/real') == NEW
    (tmp_path / 'disk/real').rename(tmp_path / f'disk/.real.{dead_process()}@{HOST}.old')  # as killed
    assert len(recover(tmp_path / 'out')) == 1
    assert content(tmp_path / 'out') == NEW


def test_only_what_nobody_is_writing_is_left_over(tmp_path: Path) -> None:
    dead, day = dead_process(), 25 * 3600
    gone = [
        f'.a.{dead}@{HOST}.tmp',
        f'.a.{dead}.tmp',
        f'.b.json.{os.getpid()}@{HOST}.tmp',
        '.a.1@elsewhere.tmp',
    ]
    kept = [f'.a.{os.getppid()}@{HOST}.tmp', '.a.2@elsewhere.tmp', '.a.tmp', 'a', f'a.{dead}@{HOST}.tmp']
    for name in gone + kept:
        (tmp_path / name).touch()
    past = (tmp_path / gone[-1]).stat().st_mtime - day
    os.utime(tmp_path / gone[-1], (past, past))  # other machines' processes cannot be seen
    with Replacement(tmp_path / 'mine') as mine:
        mine.touch()
        remove_left_over(tmp_path)
        assert {p.name for p in tmp_path.iterdir()} == {*kept, mine.name}
    remove_left_over(tmp_path / 'nowhere')


def test_a_name_as_long_as_can_be(tmp_path: Path) -> None:
    name = 'x' * 251 + '.txt'
    write_text(tmp_path / name, 'a')
    write_text(tmp_path / name, 'b')
    assert content(tmp_path) == {name: 'b'}


@contextmanager
def small_files() -> Iterator[None]:
    """No file of more than 10 bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_said_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match='File too large') as error, small_files():
        write_text(tmp_path / 'out.txt', 'x' * 100)
    assert error.value.filename == str(tmp_path / 'out.txt')
    assert list(tmp_path.iterdir()) == []


def test_a_full_folder_of_temporary_files_is_said_with_its_name() -> None:
    @temporary_files()
    def decode() -> None:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(100))

    with pytest.raises(OSError, match='TMPDIR') as error, small_files():
        decode()
    assert error.value.filename == tempfile.gettempdir()


def test_a_file_system_without_locks_is_used_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Mock()
    monkeypatch.setattr('mmengine.logging.print_log', log)
    with (tmp_path / 'a').open('w') as one, (tmp_path / 'a').open('w') as other:
        assert lock(one.fileno(), tmp_path / 'a')
        assert not lock(other.fileno(), tmp_path / 'a')
        monkeypatch.setattr(fcntl, 'flock', Mock(side_effect=OSError(38, 'Function not implemented')))
        assert lock(other.fileno(), tmp_path / 'a')
    ((said, _, level),) = (call.args for call in log.mock_calls)
    assert said.startswith(f'{tmp_path / "a"}: cannot be locked (Function not implemented), its file system')
    assert level == logging.WARNING
