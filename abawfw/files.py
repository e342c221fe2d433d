"""Files and folders written whole or not at all, and whether they can be.

What is written gets its name when it is whole. Until then it lies beside its place under a temporary name
that says which process writes it: ``.NAME.PID@HOST.tmp``. A folder that it replaces is called
``.NAME.PID@HOST.old`` for the moment between two renames. A process that is killed leaves these behind; the
next one that writes the same name puts that right.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import re
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeGuard

from abawfw.errors import ConfigError, DataError

HOST = socket.gethostname().partition('.')[0][:16]
MAX_BYTES = 2 << 30
"""Largest file that is read as a whole: more than a table of 1,000 numbers a frame of two hours has."""
DAY = 24 * 3600
"""Seconds after which a temporary name of another machine, whose processes cannot be seen, is left over."""

_NAME = re.compile(r'\.(?P<name>.+)\.(?P<pid>\d+)(?:@(?P<host>[^@]*))?\.(?P<kind>tmp|old)', re.DOTALL)
_IN_WORK: set[str] = set()
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Replacement:
    """A file or folder that is written beside its place and gets its name when it is whole.

    ``with Replacement(path) as temporary:`` the block makes a file or a folder called ``temporary``. When it
    ends, this is flushed to disk and renamed, so that a reader sees what was there before or the new one;
    when it fails, the temporary one is removed and what was there stays.

    Args:
        path: of the file or folder; folders above it are made. A link to a folder is followed.
        folder: whether a folder that holds something may be replaced.

    Raises:
        OSError: the place cannot be written.
    """

    def __init__(self, path: Path, folder: bool = False) -> None:
        self.path = _place(path)
        self._folder = folder
        self.path.parent.mkdir(parents=True, exist_ok=True)
        recover(self.path)
        self.temporary = _beside(self.path, 'tmp')
        _IN_WORK.add(os.path.abspath(self.temporary))

    def __enter__(self) -> Path:
        return self.temporary

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
            return
        self.discard()
        if _is_full(error):
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def finish(self) -> None:
        """Give the written file or folder its name."""
        try:
            _flush(self.temporary)
            if self._folder and self.path.is_dir() and any(self.path.iterdir()):
                self._swap()
            else:
                os.replace(self.temporary, self.path)
        except OSError as error:
            if not _is_full(error):
                raise
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was written."""
        _remove(self.temporary)
        _IN_WORK.discard(os.path.abspath(self.temporary))

    def _swap(self) -> None:
        """No call of every system exchanges two folders, so the old one has another name for a moment.

        ``.old`` is always whole: it is renamed again before it is removed.
        """
        old = _beside(self.path, 'old')
        _IN_WORK.add(os.path.abspath(old))
        try:
            os.replace(self.path, old)
            os.replace(self.temporary, self.path)
            os.replace(old, self.temporary)
        except BaseException:
            if not self.path.exists():
                os.replace(old, self.path)
            raise
        finally:
            _IN_WORK.discard(os.path.abspath(old))


class FolderWriter:
    """Writes a folder piece by piece, for a subclass: whole when the ``with`` block ends, or not at all.

    Args:
        root: folder to make; it may exist only if it is empty.

    Attributes:
        root: the same.

    Raises:
        DataError: ``root`` exists and is not an empty folder.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        if self.root.exists() and not (self.root.is_dir() and not any(self.root.iterdir())):
            raise DataError(
                f'{self.root}: exists and is not an empty folder; choose another one or remove it'
            )
        self._replacement = Replacement(self.root)
        self._folder = self._replacement.temporary
        self._folder.mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._replacement:
            try:
                if error is not None:
                    raise error
                self._complete()
            finally:
                self._release()

    def close(self) -> None:
        """Write what comes last and give the folder its final name, without a ``with`` block."""
        self.__exit__(None, None, None)

    def _complete(self) -> None:
        """Write what comes last into ``_folder``."""

    def _release(self) -> None:
        """Close the files in ``_folder``."""


def recover(path: Path) -> list[str]:
    """Put right what a killed process left where it wrote ``path``.

    An old folder that had just been moved away comes back; temporary files and folders are removed. What
    belongs to a living process is left alone.

    Returns:
        What a user should know, a line each.
    """
    path = _place(path)
    notes = []
    for left, kind in _left_over(path.parent, path.name):
        if kind == 'old' and not os.path.lexists(path):
            os.replace(left, path)
            notes.append(f'{path}: restored as it was; the process that was replacing it was killed')
        else:
            _remove(left)
    return notes


def is_temporary(name: str) -> bool:
    """Whether a name is that of a file or folder which is not whole yet, or is being replaced."""
    return _NAME.fullmatch(name) is not None


def remove_left_over(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder."""
    for left, kind in _left_over(folder):
        if kind == 'tmp':
            _remove(left)


def shipped(name: str) -> Path:
    """``configs`` or ``tools``: beside the package in a checkout, within it where it is installed."""
    package = Path(__file__).resolve().parent
    return next(f for f in (package / name, package.parent / name) if f.is_dir())


def write_text(path: Path, text: str) -> None:
    """Write a file as a `Replacement`: a reader never sees half of it."""
    with Replacement(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


@contextmanager
def temporary_files() -> Iterator[None]:
    """Name the folder of the system's temporary files where it is full.

    Raises:
        OSError: it is.
    """
    try:
        yield
    except OSError as error:
        if not _is_full(error):
            raise
        text = f'{error.strerror} for temporary files, which TMPDIR puts elsewhere'
        raise OSError(error.errno, text, tempfile.gettempdir()) from error


def lock(number: int, path: Path) -> bool:
    """Lock a file or folder for as long as this process has it open.

    A file system may have no locks, such as NFS without lockd. It is then written without, with a warning:
    there may be no other one.

    Args:
        number: of the open file or folder.
        path: its name.

    Returns:
        Whether it may be used: False if another process has locked it.
    """
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        from mmengine.logging import print_log

        print_log(
            f'{path}: cannot be locked ({error.strerror}), its file system has no locks; nothing keeps a '
            'second process from writing there at the same time',
            'current',
            logging.WARNING,
        )
    return True


def _is_full(error: BaseException) -> TypeGuard[OSError]:
    """Whether a write has failed in the middle of a file, which does not say which file it was."""
    return isinstance(error, OSError) and error.errno in _FULL and error.filename is None


def _place(path: Path) -> Path:
    """Where something of this name is written: what a link to a folder, or to nothing any more, leads to."""
    leads_on = path.is_symlink() and (path.is_dir() or not path.exists())
    return Path(os.path.realpath(path)) if leads_on else path


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f'.{_short(path.name)}.{os.getpid()}@{HOST}.{kind}')


def _short(name: str) -> str:
    """The name, or what stands for one that leaves no room for an addition: file systems take 255 bytes."""
    raw = os.fsencode(name)
    return name if len(raw) <= 200 else hashlib.blake2b(raw, digest_size=16).hexdigest()


def _left_over(folder: Path, name: str | None = None) -> Iterator[tuple[Path, str]]:
    """Temporary names in a folder whose process is gone, and their kinds; of one name only, or of all."""
    try:
        entries = sorted(entry.name for entry in os.scandir(folder) if entry.name.startswith('.'))
    except OSError:
        return
    for entry in entries:
        found = _NAME.fullmatch(entry)
        if found is None or (name is not None and found['name'] != _short(name)):
            continue
        path = folder / entry
        if _is_gone(path, int(found['pid']), found['host']):
            yield path, found['kind']


def _is_gone(path: Path, pid: int, host: str | None) -> bool:
    """Whether the process that wrote a temporary name lives no longer."""
    if host is not None and host != HOST:
        try:
            return time.time() - path.lstat().st_mtime > DAY
        except OSError:
            return False
    if pid == os.getpid():
        return os.path.abspath(path) not in _IN_WORK  # of an earlier process of this number
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # not ours to signal, but there
        return False
    return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Bring a file, or all files of a folder, to the disk."""
    for file in [path, *path.rglob('*')]:
        if file.is_symlink() or not file.is_file():
            continue
        number = os.open(file, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def check_plain(path: Path) -> None:
    """Refuse what is there and is no plain file, before it is opened: a read of a pipe would never end.

    Links are followed. A file that is not there passes: who opens it reports that.

    Raises:
        DataError: a folder, pipe, socket or device.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: 'a folder', stat.S_IFIFO: 'a pipe', stat.S_IFSOCK: 'a socket'}
        raise DataError(f'{path}: is {kinds.get(stat.S_IFMT(mode), "a device")}, a plain file is expected')


def read_plain(path: Path) -> bytes:
    """All of a file that may come from anyone.

    Raises:
        DataError: it is no plain file, is too large, or cannot be read.
    """
    check_plain(path)
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise DataError(f'{path}: {size:,} bytes; files of up to {MAX_BYTES:,} are read as a whole')
        return path.read_bytes()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise DataError(f'{path}: cannot be read ({reason})') from None


def check_folder(folder: Path, way_out: str) -> None:
    """Find out before the work whether a folder can be written; it is made if it is not there.

    Args:
        folder: where files are to be written.
        way_out: what to do where it cannot.

    Raises:
        DataError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DataError(f'{folder}: cannot be written ({error.strerror}); {way_out}') from error


def check_writable(out: Path, example: str, option: str) -> None:
    """`check_folder` for a file.

    Args:
        out: the file.
        example: a name for it, for who has given a folder.
        option: of the command line that names another one.

    Raises:
        ConfigError: it is a folder.
        DataError: its folder cannot be written.
    """
    if out.is_dir():
        raise ConfigError(f'{out}: is a folder; name a file to write, such as {out / example}')
    check_folder(out.parent, f'choose another place with {option}')
