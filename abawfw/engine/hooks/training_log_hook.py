"""training_logs.csv: the epochs of a run in the columns of TAGF's reference."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import fmean

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.engine.training_state import Resumable, bare_model
from abawfw.evaluation.functional import pcc_p_value
from abawfw.files import write_text
from abawfw.registry import HOOKS
from abawfw.text_files import csv_text

COLUMNS = (
    *('time', 'epoch', 'best_epoch', 'layer_to_update', 'lr', 'tr_loss', 'val_loss'),
    *('tr_rmse', 'tr_pcc_v', 'tr_pcc_conf', 'tr_ccc', 'val_rmse', 'val_pcc_v', 'val_pcc_conf', 'val_ccc'),
)


@HOOKS.register_module()
class TrainingLogHook(Resumable, Hook):
    """Write ``training_logs.csv`` of the work_dir, one row per epoch (docs/tagf.md, Training).

    One table, rewritten whole, so a resumed run has no row twice. Epochs count from 0 and times are seconds
    since 1970, as in the reference; ``layer_to_update`` is the number of parameter tensors that are trained,
    ``lr`` the rate of the epoch's last batch, ``tr_loss`` the mean over batches and ``val_loss`` that over
    clips (the reference divides by the batch size once more), ``..._pcc_conf`` the p-value of the
    correlation. Figures of the training partition are those of the training pass, in which a frame under two
    windows counts twice.

    A model of two targets has the mean over both in its row, and the larger of the two p-values; metrics.csv
    has each target's. ``val_loss`` is empty without ``ValidationLossHook``, and for heads that classify.
    """

    position = ('rows',)
    priority = 'LOW'

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def after_epoch(self, runner: Runner) -> None:
        """Write this epoch's row."""
        record, model = runner.train_loop.record, bare_model(runner)
        row = {
            'time': time.time(),
            'epoch': record['epoch'] - 1,
            'layer_to_update': sum(p.requires_grad for p in model.parameters()),
            'lr': record['lr'],
            'tr_loss': record['loss'],
        }
        row |= {'val_loss': record['val_loss']} if 'val_loss' in record else {}
        labelled = _validated_frames(runner, len(model.targets))
        for short, stage in (('tr', 'train'), ('val', 'val')):
            frames = labelled if stage == 'val' else [record[f'train_labels_{t}'] for t in model.targets]
            figures = {
                k: [float(record[f'{stage}_{k}_{t}']) for t in model.targets] for k in ('rmse', 'pcc', 'ccc')
            }
            p_values = [pcc_p_value(r, int(n)) for r, n in zip(figures['pcc'], frames, strict=True)]
            row |= {
                f'{short}_rmse': fmean(figures['rmse']),
                f'{short}_pcc_v': fmean(figures['pcc']),
                f'{short}_pcc_conf': max(p_values),
                f'{short}_ccc': fmean(figures['ccc']),
            }
        self.rows.append(row)
        best = max(self.rows, key=lambda r: r['val_ccc'])  # the first of equal ones, as with the best weights
        row['best_epoch'] = best['epoch']
        if runner.rank == 0:
            rows = [
                {**{k: f'{v:.8g}' for k, v in row.items()}, 'time': f'{row["time"]:.3f}'} for row in self.rows
            ]
            write_text(Path(runner.work_dir) / 'training_logs.csv', csv_text(rows, COLUMNS))


def _validated_frames(runner: Runner, targets: int) -> list[int]:
    """Labelled frames of the validation partition, per target."""
    videos = [v for m in runner.val_loop.evaluator.metrics for v in getattr(m, 'videos', {}).values()]
    return [int(sum(np.isfinite(v.label[:, k]).sum() for v in videos)) for k in range(targets)]
