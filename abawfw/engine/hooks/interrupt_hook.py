"""Ctrl-C and SIGTERM leave a state that resumes exactly."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.errors import Interrupted
from abawfw.registry import HOOKS


@HOOKS.register_module()
class InterruptHook(Hook):
    """Finish the running batch, save the training state, and say which command continues.

    A second signal stops at once, without saving.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.requested = False
        self.previous: dict[int, Any] = {}

    def before_train(self, runner: Runner) -> None:
        """Take over the signals for the time of training."""

        def request(number: int, frame: FrameType | None) -> None:
            signal.signal(number, self.previous[number])
            self.requested = True
            runner.logger.warning('stopping after this batch; once more to stop at once without saving')

        for number in (signal.SIGINT, signal.SIGTERM):
            self.previous[number] = signal.signal(number, request)

    def after_train(self, runner: Runner) -> None:
        """Give the signals back."""
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _stop(self, runner: Runner) -> bool:
        if get_world_size() == 1:
            return self.requested
        flag = torch.tensor(int(self.requested))
        all_reduce(flag, 'max')  # one rank's signal stops all of them after the same batch
        return bool(flag.item())

    def after_iter(self, runner: Runner) -> None:
        """Save and leave if asked to."""
        if self._stop(runner):
            self._leave(runner, runner.save_training_state().name)

    def after_epoch(self, runner: Runner) -> None:
        """The checkpoint hook has just saved: leave if asked to, unless training is over anyway."""
        if self._stop(runner) and runner.epoch < runner.max_epochs:
            self._leave(runner, f'epoch_{runner.epoch}.pth')

    def _leave(self, runner: Runner, name: str) -> None:
        self.after_train(runner)
        raise Interrupted(
            f'interrupted after epoch {runner.epoch}, batch {runner.train_loop.batch}; saved {name}. Continue with:\n'
            f'  python tools/train.py {runner.work_dir}/config.py --work-dir {runner.work_dir} --resume'
        )
