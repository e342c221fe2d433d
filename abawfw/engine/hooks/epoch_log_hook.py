"""One row per epoch: in metrics.csv, in the log, and to MMEngine's recorders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.engine.training_state import Resumable
from abawfw.errors import TrainingError
from abawfw.files import write_text
from abawfw.registry import HOOKS
from abawfw.results.run import METRICS
from abawfw.text_files import csv_text


@HOOKS.register_module()
class EpochLogHook(Resumable, Hook):
    """Write the figures of every epoch.

    ``metrics.csv`` holds one row per epoch and is rewritten whole, so a resumed run has no row twice. The
    same figures go to the visualizer's backends, TensorBoard for instance; one that fails, such as a server
    that is gone, is no longer used, and the run continues.
    """

    position = ('rows',)
    priority = 'LOW'

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.recording = True

    @property
    def seconds(self) -> float:
        """Of training and validation so far, over all parts of a resumed run."""
        return sum(row['train_seconds'] + row.get('val_seconds', 0.0) for row in self.rows)

    def before_train(self, runner: Runner) -> None:
        """Say how the lines of the log are read."""
        runner.logger.info('a line per epoch: mean loss, CCC in training/validation, seconds of training')

    def after_epoch(self, runner: Runner) -> None:
        """Write this epoch's record."""
        record = {k: _number(k, v) for k, v in runner.train_loop.record.items()}
        self.rows.append(record)
        if runner.rank != 0:
            return
        rows = [{k: f'{v:.8g}' for k, v in row.items()} for row in self.rows]
        write_text(Path(runner.work_dir) / METRICS, csv_text(rows))
        self._record(runner, runner.visualizer.add_scalars, record, step=int(record['epoch']))
        scores = [
            f'{target} {record[f"train_ccc_{target}"]:.3f}/{record[f"val_ccc_{target}"]:.3f}'
            for target in (k.removeprefix('train_ccc_') for k in record if k.startswith('train_ccc_'))
            if f'val_ccc_{target}' in record
        ]
        where = f'epoch {runner.epoch}/{runner.max_epochs}'
        parts = [where, f'loss {record["loss"]:.4f}', *scores, f'{record["train_seconds"]:,.1f} s']
        runner.logger.info('  '.join(parts))

    def after_run(self, runner: Runner) -> None:
        """Have the recorders write what they hold back."""
        self._record(runner, runner.visualizer.close)

    def after_stop(self, runner: Runner, status: str) -> None:
        """The same for a run that failed or was interrupted."""
        self._record(runner, runner.visualizer.close)

    def _record(self, runner: Runner, call: Callable[..., None], *values: Any, **options: Any) -> None:
        if not self.recording:
            return
        try:
            call(*values, **options)
        except Exception as error:  # of whatever tracker: no reason to lose a run
            self.recording = False
            reason = str(error).strip().partition('\n')[0]
            runner.logger.warning(
                f'the tracker failed and is no longer used ({type(error).__name__}: {reason}); every figure '
                f'is in {Path(runner.work_dir) / METRICS}'
            )


def _number(column: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise TrainingError(
            f'the column {column!r} of {METRICS} takes one number per epoch, and '
            f'runner.train_loop.record[{column!r}] is {repr(value)[:60]} ({type(value).__name__}): the hook '
            'that sets it must give a number'
        ) from None
