"""A progress bar with frames per second and the time left."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from abawfw.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Show how far the epoch is, on a terminal only; a log file or a pipe gets the rows of the epochs."""

    def __init__(self) -> None:
        self.bar: Progress | None = None

    def before_train_epoch(self, runner: Runner) -> None:
        """Open the bar."""
        console = Console(stderr=True)
        if runner.rank != 0 or not console.is_terminal:
            return
        columns = (
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn('{task.fields[speed]}'),
        )
        self.bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
        self.task = self.bar.add_task(
            f'epoch {runner.epoch + 1}/{runner.max_epochs}',
            total=len(runner.train_dataloader.batch_sampler),
            completed=runner.train_loop.batch,
            speed='',
        )
        self.frames = 0
        self.bar.start()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Advance."""
        if self.bar is None:
            return
        self.frames += sum(s.num_frames for s in data_batch['data_samples'])
        elapsed = self.bar.tasks[0].elapsed or 1.0
        self.bar.update(self.task, advance=1, speed=f'{self.frames / elapsed:,.0f} frames/s')

    def after_stop(self, runner: Runner, status: str) -> None:
        """Close the bar when the run ends early, so that the terminal is whole for the message."""
        self.after_train_epoch(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
