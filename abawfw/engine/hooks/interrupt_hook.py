"""Ctrl-C and SIGTERM leave a state that resumes exactly."""

from __future__ import annotations

import os
import shlex
import signal
import threading
import time
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.errors import Interrupted
from abawfw.registry import HOOKS
from abawfw.results.run import CONFIG

AGREE_EVERY = 5
"""Seconds from one agreement of several ranks to the next, while batches take as long as before. It waits for
all of them and, on GPUs, for what these still compute."""


@HOOKS.register_module()
class InterruptHook(Hook):
    """Finish the running batch, save the training state, and say which command continues.

    A second signal stops at once, without saving. A signal that is ignored when training begins, as Ctrl-C
    is in a job in the background of a script or under nohup, stays ignored.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.requested = False
        self.previous: dict[int, Any] = {}
        # when several ranks last agreed, batches since then, and batches to the next time
        self.agreed, self.since, self.pause = 0.0, 0, 1

    def before_train(self, runner: Runner) -> None:
        """Take over the signals for the time of training; Python allows it in the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            return
        speaker = os.getpid() if runner.rank == 0 else None
        when = 'after this batch' if get_world_size() == 1 else f'after about {AGREE_EVERY} seconds'

        def request(number: int, frame: FrameType | None) -> None:
            self._give_back()
            self.requested = True
            if os.getpid() == speaker:  # workers of the data loader inherit this handler; not through the
                # logger, whose lock the interrupted code may hold
                os.write(2, f'stopping {when} (or validation); once more to stop at once\n'.encode())

        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                self.previous[number] = signal.signal(number, request)

    def after_train(self, runner: Runner) -> None:
        """Give the signals back."""
        self._give_back()

    def after_stop(self, runner: Runner, status: str) -> None:
        """Give the signals back when training ends early."""
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _stop(self, runner: Runner) -> bool:
        if get_world_size() == 1:
            return self.requested
        now = time.monotonic()
        ranks = torch.tensor([float(self.requested), now - self.agreed])
        all_reduce(ranks, 'max')  # one rank's signal stops all of them after the same batch
        requested, took = ranks.tolist()
        self.pause = max(1, int(self.since * AGREE_EVERY / max(took, 1e-3)))
        self.agreed, self.since = now, 0
        return bool(requested)

    def after_iter(self, runner: Runner) -> None:
        """Save and leave if asked to; several ranks agree on it every few seconds, not in every batch."""
        self.since += 1
        due = runner.train_loop.at_reading or self.since >= self.pause
        if get_world_size() > 1 and not due:
            return
        if self._stop(runner):
            self._leave(runner, runner.save_training_state().name)

    def save_state(self, runner: Runner) -> None:
        """The checkpoint hook has just saved: leave if asked to, unless training is over anyway."""
        over = runner.epoch == runner.max_epochs or runner.train_loop.stop_training
        if self._stop(runner) and not over:
            self._leave(runner, f'epoch_{runner.epoch}.pth')

    def _leave(self, runner: Runner, name: str) -> None:
        raise Interrupted(
            f'interrupted after epoch {runner.epoch}, batch {runner.train_loop.batch}; saved {name}. '
            f'Continue with:\n  {resume_command(runner)}'
        )


def resume_command(runner: Runner) -> str:
    """The command that continues a run as it was started; the work_dir's config.py has all its overrides."""
    work_dir = shlex.quote(str(runner.work_dir))
    config = shlex.quote(f'{runner.work_dir}/{CONFIG}')
    options = ' '.join(['', *runner.machine_options])
    train = f'python tools/train.py {config} --work-dir {work_dir} --resume{options}'
    if runner.launcher == 'pytorch':
        return f'tools/dist_train.sh {config} {runner.world_size} --work-dir {work_dir} --resume{options}'
    if runner.launcher == 'slurm':
        partition, job = (os.environ.get(f'SLURM_JOB_{k}', k) for k in ('PARTITION', 'NAME'))
        return f'tools/slurm_train.sh {partition} {job} {config} {work_dir} --resume{options}'
    return f'mpirun -np {runner.world_size} {train} --launcher mpi' if runner.launcher == 'mpi' else train
