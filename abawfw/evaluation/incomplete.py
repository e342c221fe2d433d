"""A mark beside predictions while a test writes them.

Each file is written whole or not at all, but a test that is interrupted between two of them leaves files of
different tests side by side, which nothing in them tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from abawfw.errors import DataError, Interrupted
from abawfw.files import write_text

NAME = 'incomplete.txt'


@contextmanager
def writing(folder: Path, parts: Iterable[tuple[str, str]]) -> Iterator[None]:
    """Mark parts of a folder until all of their files are written; where that fails, the mark stays.

    Args:
        folder: of the prediction files.
        parts: partition, as files call it, and target.

    Raises:
        Interrupted: Ctrl-C meanwhile; the message says what is there now.
    """
    now = {f'{partition} {target}' for partition, target in parts}
    before = _marked(folder)
    _mark(folder, before | now)
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(
            f'interrupted while writing {folder}: it is marked as incomplete, and the same command '
            'writes it anew'
        ) from error
    _mark(folder, before - now)


def check_complete(folder: Path, partition: str, target: str) -> None:
    """Refuse what a test has not written to its end.

    Raises:
        DataError: it has not.
    """
    if f'{partition} {target}' in _marked(folder):
        raise DataError(
            f'{folder}: a test was interrupted while it wrote {target} of {partition}, or is still writing; '
            'test the run again: python tools/test.py RUN'
        )


def _marked(folder: Path) -> set[str]:
    path = folder / NAME
    return set(path.read_text(encoding='utf-8').splitlines()) if path.is_file() else set()


def _mark(folder: Path, parts: set[str]) -> None:
    if parts:
        write_text(folder / NAME, ''.join(f'{part}\n' for part in sorted(parts)))
    else:
        (folder / NAME).unlink(missing_ok=True)
