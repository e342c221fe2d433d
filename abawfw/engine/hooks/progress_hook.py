"""How far a run is: a bar on a terminal, lines now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.engine.hooks.training_metric_hook import TrainingMetricHook
from abawfw.progress import Progress, clock
from abawfw.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Show how far the epoch is, its mean loss, its speed, and the time that epoch and run still take.

    On a terminal a bar, which is gone when the epoch is over; into a log file or a pipe a line each minute
    within an epoch. The loss is what ``TrainingMetricHook`` has summed up already: nothing is read from the
    device for it. The time of the run is that of all its epochs; one that stops early takes less.

    Args:
        every: seconds between two lines where there is no terminal.
    """

    def __init__(self, every: float = 60.0) -> None:
        self.every = every
        self.bar = Progress()
        self.watching = False

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the clock, and open the bar."""
        self.watching = runner.rank == 0
        self.frames, self.done = 0, 0
        self.started = self.said = time.monotonic()
        if self.watching and sys.stderr.isatty():
            batch, total = runner.train_loop.batch, _batches(runner)
            self.bar(_epoch(runner), batch, total, f'{batch}/{total}')

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Advance."""
        if not self.watching:
            return
        self.frames += sum(data_batch['data_samples'].num_frames)
        self.done += 1
        what, batch, total = _epoch(runner), batch_idx + 1, _batches(runner)
        if sys.stderr.isatty():
            self.bar(what, batch, total, f'{batch}/{total} {self._state(runner, batch_idx)}')
        elif time.monotonic() - self.said >= self.every:
            self.said = time.monotonic()
            runner.logger.info(f'{what}, batch {batch}/{total}  {self._state(runner, batch_idx)}')

    def before_val_epoch(self, runner: Runner) -> None:
        """Open the bar of validation."""
        self.after_val_iter(runner, -1)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Advance."""
        if self.watching and sys.stderr.isatty():
            self.bar('validating', batch_idx + 1, len(runner.val_dataloader.batch_sampler))

    def after_stop(self, runner: Runner, status: str) -> None:
        """Close the bar when the run ends early, so that the terminal is whole for the message."""
        self.bar.clear()

    def after_train_epoch(self, runner: Runner) -> None:
        """Close the bar."""
        self.bar.clear()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Close the bar."""
        self.bar.clear()

    def _state(self, runner: Runner, batch_idx: int) -> str:
        """Loss, speed and time left."""
        seconds = max(time.monotonic() - self.started, 1e-6)
        each, total = seconds / self.done, _batches(runner)
        epoch = each * (total - batch_idx - 1)
        run = epoch + (runner.max_epochs - runner.epoch - 1) * each * total
        run += (runner.max_epochs - runner.epoch) * runner.train_loop.val_seconds
        loss = _mean_loss(runner)
        parts = [
            *([] if loss is None else [f'loss {loss:.3f}']),
            f'{self.frames / seconds:,.0f} frames/s',
            f'left {clock(epoch)}, run {clock(run)}',
        ]
        return '  '.join(parts)


def _epoch(runner: Runner) -> str:
    return f'epoch {runner.epoch + 1}/{runner.max_epochs}'


def _batches(runner: Runner) -> int:
    return len(runner.train_dataloader.batch_sampler)


def _mean_loss(runner: Runner) -> float | None:
    """Over the epoch so far."""
    for hook in runner.hooks:
        if isinstance(hook, TrainingMetricHook) and hook.counts[0]:
            return float(hook.counts[1] / hook.counts[0])
    return None
