"""One row per epoch: in metrics.csv, in the log, and to MMEngine's recorders."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.files import write_text
from abawfw.registry import HOOKS


@HOOKS.register_module()
class EpochLogHook(Hook):
    """Write the figures of every epoch.

    ``metrics.csv`` holds one row per epoch and is rewritten whole, so a resumed run has no row twice. The
    same figures go to the visualizer's backends, TensorBoard for instance.
    """

    priority = 'LOW'

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def after_epoch(self, runner: Runner) -> None:
        """Write this epoch's record."""
        record = {k: float(v) for k, v in runner.train_loop.record.items()}
        self.rows.append(record)
        if runner.rank != 0:
            return
        text = io.StringIO()
        writer = csv.DictWriter(
            text, list(dict.fromkeys(k for r in self.rows for k in r)), lineterminator='\n'
        )
        writer.writeheader()
        writer.writerows([{k: f'{v:.8g}' for k, v in row.items()} for row in self.rows])
        write_text(Path(runner.work_dir) / 'metrics.csv', text.getvalue())
        runner.visualizer.add_scalars(record, step=int(record['epoch']))
        scores = '  '.join(
            f'{name} {record[f"train_{name}"]:.3f} -> {record[f"val_{name}"]:.3f}'
            for name in (k.removeprefix('train_') for k in record if k.startswith('train_ccc_'))
            if f'val_{name}' in record
        )
        runner.logger.info(
            f'epoch {runner.epoch}/{runner.max_epochs}  loss {record["loss"]:.4f}  {scores} (train -> val)  '
            f'{record["train_seconds"]:.1f} s, {record["frames_per_second"]:,.0f} frames/s'
        )

    def after_run(self, runner: Runner) -> None:
        """Have the recorders write what they hold back."""
        runner.visualizer.close()

    def after_stop(self, runner: Runner, status: str) -> None:
        """The same for a run that failed or was interrupted."""
        runner.visualizer.close()

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {'rows': self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue these rows."""
        self.rows = state['rows']
