"""One run at a time in a work_dir."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from mmengine.dist import broadcast_object_list, get_rank

from abawfw.errors import TrainingError
from abawfw.files import lock

NAME = '.lock'
_HELD: set[int] = set()


def _let_go_in_child() -> None:
    """A worker of the data loader that outlives a killed run must not hold its work_dir."""
    for number in _HELD:
        os.close(number)
    _HELD.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


@contextlib.contextmanager
def work_dir_lock(work_dir: Path) -> Iterator[None]:
    """Keep other runs out of a work_dir for the time of the block; to be entered by all ranks of a run.

    Rank 0 holds a lock of the operating system on ``.lock`` in the folder, which ends with the process
    however that ends. The file says who holds it, and goes with the lock; a folder that did not get any
    other file goes too.

    Raises:
        TrainingError: another run is using the folder (on every rank).
    """
    number, refusal = None, None
    if get_rank() == 0:
        try:
            number = _acquire(work_dir)
        except TrainingError as error:
            refusal = str(error)
    answers = [refusal]
    broadcast_object_list(answers)
    if answers[0] is not None:
        raise TrainingError(answers[0])
    try:
        yield
    finally:
        if number is not None:
            _release(work_dir, number)


def _acquire(work_dir: Path) -> int:
    path = work_dir / NAME
    while True:
        try:
            work_dir.mkdir(parents=True, exist_ok=True)
            number = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except (FileNotFoundError, FileExistsError):
            if work_dir.is_file():
                raise TrainingError(f'{work_dir} is a file: choose another place with --work-dir') from None
            continue  # a run that is leaving took the folder along
        if not lock(number, path):
            holder = os.pread(number, 200, 0).decode(errors='replace').strip()
            os.close(number)
            who = f' ({holder})' if holder else ''
            raise TrainingError(
                f'{work_dir} is in use: another run{who} trains into it. Wait for its end or stop it, or '
                f'choose another place with --work-dir'
            )
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(number), path.stat()):
                break
        os.close(number)  # the run that held it has just removed the file
    os.ftruncate(number, 0)
    os.pwrite(number, f'process {os.getpid()} on {socket.gethostname()}\n'.encode(), 0)
    _HELD.add(number)
    return number


def _release(work_dir: Path, number: int) -> None:
    with contextlib.suppress(OSError):  # work_dir moved or not writable: the lock goes all the same
        (work_dir / NAME).unlink()
        work_dir.rmdir()  # fails unless it is empty
    _HELD.discard(number)
    os.close(number)
