"""The file of a search: its trials, their values and scores, shared by all processes that work at it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import ModuleType
from typing import Any

from abawfw.errors import ConfigError

STUDY = 'study.log'  # in the folder of the runs
NAME = 'sweep'


def cut_unfinished(path: Path) -> str | None:
    """Remove the beginning of an entry that a process was killed while writing: what follows would be lost.

    To be called while no run of the search is on.

    Returns:
        What was done, in a line; None for nothing.

    Raises:
        ConfigError: an entry before that is damaged.
    """
    content = path.read_bytes() if path.is_file() else b''
    whole = content[: content.rfind(b'\n') + 1]
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            json.loads(line)
        except ValueError as error:
            raise ConfigError(
                f'{path}, line {number}: is no entry of a search ({error}); move the file away to begin anew'
            ) from error
    if whole == content:
        return None
    with path.open('r+b') as file:
        file.truncate(len(whole))
    return f'{path}: the last entry was cut off by a kill and is removed; what it recorded is done again'


def open_storage(path: Path, what: str) -> tuple[ModuleType, Any]:
    """Optuna, and its storage in a file, which is made if it is not there.

    Args:
        path: the file, on a disk that all processes see.
        what: that needs it, for the error.

    Raises:
        ConfigError: Optuna is not installed, or the file is none of its.
    """
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise ConfigError(f'{what} needs optuna ({error}): pip install -e .[search]') from error
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        storage = JournalStorage(JournalFileBackend(str(path)))
    except (ValueError, KeyError, TypeError, AssertionError) as error:  # JSON that Optuna has not written
        raise ConfigError(
            f'{path}: is no file of a search ({error!r}); move it away to begin anew'
        ) from error
    return optuna, storage
