"""Runs in processes of this machine."""

from __future__ import annotations

import os
import time

from abawfw.devices import SHARED_OUT, usable_cores
from abawfw.registry import LAUNCHERS
from abawfw.series.launchers.base import Job, Launcher, code_text
from abawfw.series.launchers.command_chain import GRACE, CommandChain


@LAUNCHERS.register_module()
class LocalLauncher(Launcher):
    """Processes on this machine: the GPUs in turn, the cores shared out.

    Each of the ``jobs`` places has one GPU (``CUDA_VISIBLE_DEVICES``) and cores // jobs threads, at least one
    (``OMP_NUM_THREADS``; a smaller number in the environment stays). Small models take one of
    these, unless the user has set that variable.

    Args:
        jobs: runs at a time; None for one per GPU, and one without a GPU.
    """

    def __init__(self, jobs: int | None = None) -> None:
        self.gpus = visible_gpus()
        super().__init__(max(1, len(self.gpus)) if jobs is None else jobs)

    def environment(self, slot: int) -> dict[str, str]:
        """Variables of the runs in one place."""
        assert self.jobs is not None
        threads = max(1, usable_cores() // self.jobs)
        given = os.environ.get('OMP_NUM_THREADS', '')
        found = {'OMP_NUM_THREADS': str(min(threads, int(given)) if given.isdecimal() else threads)}
        if not given and threads > 1:
            found[SHARED_OUT] = str(threads)
        if self.gpus:
            found['CUDA_VISIBLE_DEVICES'] = self.gpus[slot % len(self.gpus)]
        return found

    def prepare(self) -> None:
        """Processes need nothing."""

    def start(self, job: Job, slot: int) -> CommandChain:
        """Start the first command of a run."""
        return CommandChain(job, self.environment(slot))

    def outcome(self, handle: CommandChain) -> str | None:
        """See the base class."""
        code = handle.poll()
        return None if code is None else code_text(code)

    def stop(self, handles: list[CommandChain]) -> None:
        """Ask all to stop, wait a minute at most, then kill; a second Ctrl-C kills at once."""
        for handle in handles:
            handle.interrupt()
        deadline = time.monotonic() + GRACE
        for handle in handles:
            handle.leave(deadline)


def visible_gpus() -> list[str]:
    """Names of the GPUs as ``CUDA_VISIBLE_DEVICES`` knows them; those in the environment if it is set."""
    given = os.environ.get('CUDA_VISIBLE_DEVICES')
    if given is not None:
        return [name.strip() for name in given.split(',') if name.strip() not in ('', '-1')]
    import torch

    return [str(i) for i in range(torch.cuda.device_count())]
