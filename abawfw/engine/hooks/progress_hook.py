"""How far a run is: a bar on a terminal, lines now and then elsewhere."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from abawfw.engine.hooks.training_metric_hook import TrainingMetricHook
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
        self.bar: Progress | None = None
        self.watching = False

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the clock, and open the bar."""
        self.watching = runner.rank == 0
        self.frames, self.done = 0, 0
        self.started = self.said = time.monotonic()
        self._open(f'epoch {runner.epoch + 1}/{runner.max_epochs}', runner.train_loop.batch, _batches(runner))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Advance."""
        if not self.watching:
            return
        self.frames += sum(data_batch['data_samples'].num_frames)
        self.done += 1
        if self.bar is not None:
            self.bar.update(
                self.bar.task_ids[0], completed=batch_idx + 1, state=self._state(runner, batch_idx)
            )
        elif time.monotonic() - self.said >= self.every:
            self.said = time.monotonic()
            where = f'epoch {runner.epoch + 1}/{runner.max_epochs}, batch {batch_idx + 1}/{_batches(runner)}'
            runner.logger.info(f'{where}  {self._state(runner, batch_idx)}')

    def before_val_epoch(self, runner: Runner) -> None:
        """Open the bar of validation."""
        self._open('validating', 0, len(runner.val_dataloader.batch_sampler))

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Advance."""
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=batch_idx + 1)

    def after_stop(self, runner: Runner, status: str) -> None:
        """Close the bar when the run ends early, so that the terminal is whole for the message."""
        self._close()

    def after_train_epoch(self, runner: Runner) -> None:
        """Close the bar."""
        self._close()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Close the bar."""
        self._close()

    def _open(self, what: str, completed: int, total: int) -> None:
        console = Console(stderr=True)
        if not self.watching or not console.is_terminal:
            return
        columns = (
            TextColumn('{task.description}'),
            BarColumn(20),
            MofNCompleteColumn(),
            TextColumn('{task.fields[state]}'),
        )
        self.bar = Progress(*columns, console=console, transient=True)
        self.bar.add_task(what, total=total, completed=completed, state='')
        self.bar.start()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

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
            f'left {_clock(epoch)}, run {_clock(run)}',
        ]
        return '  '.join(parts)


def _batches(runner: Runner) -> int:
    return len(runner.train_dataloader.batch_sampler)


def _mean_loss(runner: Runner) -> float | None:
    """Over the epoch so far."""
    for hook in runner.hooks:
        if isinstance(hook, TrainingMetricHook) and hook.counts[0]:
            return float(hook.counts[1] / hook.counts[0])
    return None


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
