"""Work in processes of their own, of which some fail or die."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from abawfw.errors import DataError
from abawfw.extraction.pipeline.worker_processes import Tick, work_through


@dataclass(frozen=True)
class Task:
    """Does what the item says."""

    folder: Path

    def __call__(self, item: str, tick: Tick) -> tuple[str, int]:
        if item == 'data':
            raise DataError('this file is bad')
        if item == 'bug':
            raise KeyError('x')
        if item == 'memory':
            raise MemoryError
        if item == 'killed':
            os.kill(os.getpid(), signal.SIGKILL)
        if item == 'crash':
            os.abort()
        if item == 'exit':
            os._exit(3)
        if item == 'disk':
            raise OSError(errno.ENOSPC, 'No space left on device', 'a.npy')
        if item == 'limit':
            raise OSError(errno.EFBIG, 'File too large', 'a.npy')
        if item == 'file':
            (self.folder / 'gone').read_text()
        if item == 'slow':
            time.sleep(60)
        for i in range(10):
            tick(i / 10)
        return item, os.getpid()


def test_every_item_has_its_own_fate(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    items = ['a', 'data', 'bug', 'killed', 'crash', 'b', 'exit', 'memory', 'file', 'limit', 'c']
    ticks: list[tuple[str, float]] = []
    outcomes = {o.item: o for o in work_through(Task(tmp_path), items, 2, lambda *t: ticks.append(t))}
    assert set(outcomes) == set(items)
    done = {item: o.value[0] for item, o in outcomes.items() if o.failure is None}
    assert done == {'a': 'a', 'b': 'b', 'c': 'c'}
    assert len({outcomes[item].value[1] for item in done} - {os.getpid()}) >= 1
    assert os.getpid() not in {outcomes[item].value[1] for item in done}
    assert outcomes['data'].failure == 'this file is bad'
    assert outcomes['bug'].failure.startswith('unexpected KeyError in test_worker_processes.py, line ')
    assert outcomes['killed'].failure.startswith('its process was killed')
    assert outcomes['crash'].failure.startswith('its process ended by signal SIGABRT')
    assert outcomes['exit'].failure.startswith('its process ended with exit code 3')
    assert outcomes['memory'].failure.startswith('not enough memory')
    assert outcomes['file'].failure == f'{tmp_path}/gone: No such file or directory'
    assert outcomes['limit'].failure == 'a.npy: File too large (limited by ulimit -f)'
    assert [t for t in ticks if t[0] == 'a'] == [('a', i / 10) for i in range(1, 10)]


def test_a_full_disk_ends_all(tmp_path: Path) -> None:
    start = time.monotonic()
    work = work_through(Task(tmp_path), ['a', 'slow', 'disk', 'b'], 2, lambda *_: None)
    assert next(work).item == 'a'
    with pytest.raises(DataError, match=r'^a\.npy: No space left on device; no further video is started'):
        next(work)
    assert time.monotonic() - start < 30
    assert not multiprocessing.active_children()


def test_leaving_early_ends_the_processes(tmp_path: Path) -> None:
    work = work_through(Task(tmp_path), ['slow', 'a'], 2, lambda *_: None)
    assert next(work).item == 'a'
    work.close()
    assert not multiprocessing.active_children()
