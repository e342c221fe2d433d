"""The loss of the validation partition from the validation pass itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from abawfw.engine.loops.va_train_loop import read_scalars
from abawfw.engine.training_state import bare_model
from abawfw.registry import HOOKS


class _Predictions(NamedTuple):
    """What a head's loss reads of the head's output."""

    va: Tensor
    logits: None = None


@HOOKS.register_module()
class ValidationLossHook(Hook):
    """Compute the head's losses from the predictions of the validation pass: no frame is computed twice.

    Adds ``val_loss`` to the epoch's record: the sum of the head's losses, averaged over batches in proportion
    to their clips, so that a loss per window is the mean over windows. A head that classifies is trained on
    logits, which validation does not keep: then there is no ``val_loss``.
    """

    def before_val_epoch(self, runner: Runner) -> None:
        """Start the list of losses of batches, and of the clips they are of."""
        self.losses: list[Tensor] = []
        self.clips: list[int] = []

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Add this batch; clips without frames, which only keep ranks in step, do not count."""
        model = bare_model(runner)
        if getattr(model.head, 'classifies', False) or not outputs:
            return
        batch = outputs[0]
        rows = [row for row, n in enumerate(batch.num_frames) if n]
        if not rows:
            return
        known = batch.valid & batch.observed.any(dim=-1)
        given = [batch.pred_va, batch.gt_va[..., model.target_columns], known]
        if len(rows) < len(batch):
            given = [torch.stack([x[row] for row in rows]) for x in given]
        va, gt, mask = given
        with torch.no_grad():
            self.losses.append(sum(model.head.loss(_Predictions(va), gt, mask).values()))
        self.clips.append(len(rows))

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Record the mean over the clips of all ranks."""
        weighted = [loss * n for loss, n in zip(read_scalars(self.losses), self.clips, strict=True)]
        sums = torch.tensor([sum(weighted), sum(self.clips)], dtype=torch.float64)
        if get_world_size() > 1:
            all_reduce(sums)
        if sums[1]:
            runner.train_loop.record['val_loss'] = float(sums[0] / sums[1])
