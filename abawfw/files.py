"""Files written whole or not at all, and whether they can be."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from abawfw.errors import ConfigError


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
