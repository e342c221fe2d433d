"""Work on many items in processes of their own, which may fail or die one by one."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

from abawfw.errors import AbawfwError, DataError

Tick = Callable[[float], None]
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors that the next item would meet too."""


@dataclass(frozen=True)
class Outcome:
    """What became of an item: its value, or why there is none."""

    item: Any
    value: Any = None
    failure: str | None = None


class _Worker:
    """A process that works on one item after another."""

    def __init__(self, task: bytes) -> None:
        context = get_context('spawn')  # a fork of a process with threads (torch, OpenMP) may hang
        self.pipe, theirs = context.Pipe()
        self.item: Any = None
        self.process = context.Process(target=_serve, args=(theirs, task), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, item: Any) -> None:
        """Start on an item."""
        self.item = item
        self.pipe.send(item)

    def stop(self) -> int | None:
        """End the process, whatever it is doing; returns its exit code."""
        self.pipe.close()
        self.process.terminate()
        self.process.join()
        return self.process.exitcode


def work_through(
    task: Callable[[Any, Tick], Any], items: Sequence[Any], jobs: int, tick: Callable[[Any, float], None]
) -> Generator[Outcome]:
    """Call ``task(item, tick)`` for every item, in up to ``jobs`` processes at once.

    What a task raises, and the death of its process, concern its item only.

    Args:
        task: can be pickled, as must be what it returns; it gets the item and what to call with the fraction
            that is done.
        items: what to work on, started in this order.
        jobs: processes.
        tick: called with an item and the fraction of it that is done.

    Yields:
        An outcome per item, as they finish.

    Raises:
        DataError: the disk is full or cannot be written, which every other item would meet too; those in work
            are given up.
    """
    pickled, waiting, workers = pickle.dumps(task), list(reversed(items)), list[_Worker]()
    try:
        while waiting or workers:
            while waiting and len(workers) < jobs:
                workers.append(_Worker(pickled))
                workers[-1].give(waiting.pop())
            ready = connection.wait([worker.pipe for worker in workers])
            for worker in [w for w in workers if w.pipe in ready]:
                try:
                    kind, value = worker.pipe.recv()
                except EOFError:
                    workers.remove(worker)
                    worker.process.join()
                    code = worker.stop()
                    yield Outcome(worker.item, failure=_death(code))
                    continue
                if kind == 'tick':
                    tick(worker.item, value)
                    continue
                if kind == 'stop':
                    raise DataError(f'{value}; no further video is started, finished ones are kept')
                item = worker.item
                if waiting:
                    worker.give(waiting.pop())
                else:
                    workers.remove(worker)
                    worker.stop()
                yield Outcome(item, value) if kind == 'done' else Outcome(item, failure=value)
    finally:
        for worker in workers:
            worker.stop()


def _death(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return 'its process was killed, as happens when memory runs out; try fewer jobs'
    how = (
        f'by signal {signal.Signals(-code).name}'
        if code is not None and code < 0
        else f'with exit code {code}'
    )
    return f'its process ended {how}; is the file damaged?'


def _serve(pipe: connection.Connection, pickled: bytes) -> None:
    """The worker process: items in, messages out, until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's matter
    os.environ.setdefault('OMP_NUM_THREADS', '1')  # before numpy and torch: processes share the cores already
    task = pickle.loads(pickled)
    last = 0.0

    def tick(fraction: float) -> None:
        nonlocal last
        if fraction - last >= 0.005 or fraction < last:
            last = fraction
            pipe.send(('tick', fraction))

    try:
        while True:
            item = pipe.recv()
            last = 0.0
            pipe.send(_attempt(task, item, tick))
    except (EOFError, OSError):
        return  # the parent is gone


def _attempt(task: Callable[[Any, Tick], Any], item: Any, tick: Tick) -> tuple[str, Any]:
    try:
        return 'done', task(item, tick)
    except AbawfwError as error:
        return 'failed', str(error)
    except MemoryError:
        return 'failed', 'not enough memory; try fewer jobs'
    except OSError as error:
        return 'stop' if error.errno in DISK else 'failed', _of_system(error)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f'{Path(place.filename).name}, line {place.lineno}'
        return 'failed', f'unexpected {type(error).__name__} in {where}: {error}'


def _of_system(error: OSError) -> str:
    """What the system reports, the file first."""
    if error.filename is None:
        return str(error)
    limit = ' (limited by ulimit -f)' if error.errno == errno.EFBIG else ''
    return f'{error.filename}: {error.strerror}{limit}'
