"""A process killed at any step that it takes on a file system."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator

KILLED = 9
STEPS = ('os.rename', 'os.remove', 'os.rmdir', 'os.mkdir', 'open', 'shutil.rmtree')
"""Events that Python reports before it does what they are called after."""


def interrupted_at(number: int, action: Callable[..., object]) -> Callable[..., object]:
    """The action, but its call of this number, from 0 on, is interrupted before it does anything."""
    calls = itertools.count()

    def called(*given: object) -> object:
        if next(calls) == number:
            raise KeyboardInterrupt
        return action(*given)

    return called


def killed_at_every_step(
    action: Callable[[], object], prepare: Callable[[], object], steps: tuple[str, ...] = STEPS
) -> Iterator[int]:
    """Let a process of its own do something, and end it without any clean-up just before its k-th step.

    Args:
        action: what the process does.
        prepare: called before each try.
        steps: kinds of steps to die before.

    Yields:
        0, 1, 2 ..., each when a process has died before this step; the last one has come to its end.
    """
    for k in range(10000):
        prepare()
        child = os.fork()
        if child == 0:
            _die_before(k, steps)
            try:
                action()
            except BaseException:
                os._exit(1)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, KILLED), code
        yield k
        if code == 0:
            return


def dead_process() -> int:
    """The number of a process that is gone."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


def _die_before(k: int, steps: tuple[str, ...]) -> None:
    left = k

    def hook(event: str, _: tuple) -> None:
        nonlocal left
        if event in steps:
            left -= 1
            if left < 0:
                os._exit(KILLED)

    sys.addaudithook(hook)
