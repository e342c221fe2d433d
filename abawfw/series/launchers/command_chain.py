"""The processes of one run, one after the other."""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO

from abawfw.series.launchers.base import Job

GRACE = 60.0  # seconds that a stopped run has to finish its batch and save
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux' prctl


class CommandChain:
    """Runs the commands of a run in a session of their own, so that a terminal's Ctrl-C does not reach them.

    On Linux they are sent SIGTERM when the process that started them dies, however it does: training then
    saves its state and ends, instead of going on unseen in a work_dir that a new start would use.

    The first command is started by the first ``poll``, so that an interruption never finds a process that
    nobody knows of.

    Args:
        job: what to run; what it prints is appended to ``job.log``.
        environment: variables set over those of this process, before the run's own.
    """

    def __init__(self, job: Job, environment: Mapping[str, str] | None = None) -> None:
        self._job = job
        self._environment = {**os.environ, **(environment or {}), **job.environment}
        self._left = list(job.commands)
        job.log.parent.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None

    def poll(self) -> int | None:
        """Start the first command, or the next one if one has ended well.

        Returns:
            0 when all commands have ended well, the exit code of the one that has not, None meanwhile.
        """
        code = 0 if self._process is None else self._process.poll()
        if code == 0 and self._left:
            self._start_next()
            return None
        return code

    def interrupt(self) -> None:
        """Ask the running command to stop; training saves its state first."""
        self._left.clear()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def leave(self, deadline: float) -> None:
        """Wait until the command has ended, and kill it if it has not by then (time.monotonic())."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.kill()
            self._process.wait()

    def _start_next(self) -> None:
        command = self._left.pop(0)
        with self._job.log.open('ab') as log:
            log.write(f'$ {shlex.join(command)}\n'.encode())
            log.flush()
            with _interrupts_wait():
                self._process = self._start(command, log)

    def _start(self, command: tuple[str, ...], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=self._job.folder,
            env=self._environment,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == 'linux' else None,
        )


def execute(job: Job) -> int:
    """Run all commands in this process' name, as jobs of Slurm and Ray do; returns the exit code."""
    chain = CommandChain(job)
    try:
        while (code := chain.poll()) is None:
            time.sleep(0.2)
    except BaseException:
        chain.interrupt()
        chain.leave(time.monotonic() + GRACE)
        raise
    return code


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Raise a KeyboardInterrupt that comes meanwhile at the end only.

    Popen would forget a child that it has started; such a one would train on, and nobody would wait for it.
    """
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if came:
        usual(came[0], None)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)
