"""How far a command is, for who waits for it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeAlias

Report: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, how many steps of it are done, and how many there are."""


EVERY = 30.0
"""Seconds between two lines where there is no terminal."""
REFRESH = 0.1
"""Seconds between two drawings of a bar."""


def unseen(what: str, done: int, total: int) -> None:
    """Nobody waits."""


class Progress:
    """A bar on a terminal, and otherwise a line now and then, on standard error.

    Used as a context, which leaves the terminal clean however it ends, and called as a `Report`.

    Args:
        every: seconds between two lines where there is no terminal; what is done before is not mentioned.
    """

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._bar: Any = None
        self._what: str | None = None
        self._begun = self._said = self._drawn = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def clear(self) -> None:
        """Leave the terminal to something else, until the next call."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __call__(self, what: str, done: int, total: int, state: str = '') -> None:
        """Show it; a bar ends with ``state``, or else with the fraction that is done and the time left."""
        now = time.monotonic()
        new, self._what = what != self._what, what
        if new:
            self._begun = now
        left = clock((now - self._begun) / done * (total - done)) if done else ''
        if sys.stderr.isatty():
            self._draw(new, what, done, total, state or f'{done / max(total, 1):.0%} {left}')
        elif now - self._said >= self._every:
            self._said = now
            sys.stderr.write(f'{what}: {done:,} of {total:,}{left and f", about {left} left"}\n')
            sys.stderr.flush()

    def _draw(self, new: bool, what: str, done: int, total: int, state: str) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            # Drawn here and not by a thread, for processes may be forked; what others print stays theirs.
            self._bar = Bar(
                TextColumn('{task.description}'),
                BarColumn(20),
                TextColumn('{task.fields[state]}'),
                console=Console(stderr=True),
                transient=True,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar.start()
            new = True
        if new:
            for task in self._bar.task_ids:
                self._bar.remove_task(task)
            self._task = self._bar.add_task(what, total=total, state=state)
        now = time.monotonic()
        due = new or done >= total or now - self._drawn >= REFRESH
        self._drawn = now if due else self._drawn
        self._bar.update(self._task, completed=done, state=state, refresh=due)


def clock(seconds: float) -> str:
    """A time to wait, such as 0:05 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{rest:02}' if hours else f'{minutes}:{rest:02}'
