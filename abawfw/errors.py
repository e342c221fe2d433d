"""The errors that abawfw raises on purpose; their text names what is at fault and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint with the nearest known name, or with the known ones when none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    more = f', ... ({len(names)} in all)' if len(names) > 20 else ''
    return f'there are: {", ".join(names[:20]) or "none"}{more}'


def counted(number: int, noun: str) -> str:
    """A number with its noun, whose plural has an s.

    >>> counted(1, 'video'), counted(1200, 'video')
    ('1 video', '1,200 videos')
    """
    return f'{number:,} {noun}{"" if number == 1 else "s"}'


def megabytes(count: int) -> str:
    """Bytes in units of a million.

    >>> megabytes(2**30)
    '1,073.7 MB'
    """
    return f'{count / 1e6:,.1f} MB'


def few(names: Sequence[str], most: int = 5, between: str = ', ') -> str:
    """The first of some names, and how many more there are.

    >>> few(['a', 'b', 'c', 'd'], most=2)
    'a, b and 2 more'
    """
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return between.join(names[:most]) + more


class AbawfwError(Exception):
    """Base of all errors that a command line prints as one message, without a traceback."""


class ConfigError(AbawfwError):
    """A config cannot be built. Carries every problem found, one per line."""


class DataError(AbawfwError):
    """Stored data are missing, damaged or contradict one another."""


class CheckpointError(AbawfwError):
    """A checkpoint cannot be read, is not trusted, or belongs to another architecture."""


class TrainingError(AbawfwError):
    """Training cannot go on; what was saved and how to continue is in the message."""


class Interrupted(KeyboardInterrupt):
    """The user stopped a run; the message says what was saved and which command continues it."""
