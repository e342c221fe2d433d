"""The loss of the validation partition from the validation pass itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

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
        """Start the sums: of losses times clips, and of clips."""
        self.sums = torch.zeros(2, dtype=torch.float64)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Add this batch; clips without frames, which only keep ranks in step, do not count."""
        model = bare_model(runner)
        samples = [s for s in outputs or () if s.num_frames]
        if getattr(model.head, 'classifies', False) or not samples:
            return
        device = next(model.head.parameters()).device
        gt = torch.stack([s.gt_va for s in samples])[..., model.target_columns].to(device)
        va = torch.zeros_like(gt)
        for row, sample in zip(va, samples, strict=True):
            row[: sample.num_frames] = sample.pred_va
        mask = torch.stack([s.valid & s.observed.any(dim=-1) for s in samples]).to(device)
        with torch.no_grad():
            loss = sum(model.head.loss(_Predictions(va), gt, mask).values())
        self.sums += torch.tensor([float(loss) * len(samples), len(samples)], dtype=torch.float64)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Record the mean over the clips of all ranks."""
        if get_world_size() > 1:
            all_reduce(self.sums)
        if self.sums[1]:
            runner.train_loop.record['val_loss'] = float(self.sums[0] / self.sums[1])
