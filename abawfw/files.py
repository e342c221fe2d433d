"""Files written whole or not at all, and whether they can be."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from abawfw.errors import ConfigError, DataError


def shipped(name: str) -> Path:
    """``configs`` or ``tools``: beside the package in a checkout, within it where it is installed."""
    package = Path(__file__).resolve().parent
    return next(f for f in (package / name, package.parent / name) if f.is_dir())


def write_text(path: Path, text: str) -> None:
    """Write beside ``path``, flush to disk and rename: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        with temporary.open('w', encoding='utf-8') as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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


def check_writable(out: Path, example: str, option: str) -> None:
    """Find out before the work whether a file can be written; its folder is made if it is not there.

    Args:
        out: the file.
        example: a name for it, for who has given a folder.
        option: of the command line that names another one.

    Raises:
        ConfigError: it cannot.
    """
    if out.is_dir():
        raise ConfigError(f'{out}: is a folder; name a file to write, such as {out / example}')
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise ConfigError(
            f'{out}: cannot be written ({error.strerror}); choose another place with {option}'
        ) from error
