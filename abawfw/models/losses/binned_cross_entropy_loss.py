"""Cross entropy to the bin of the label."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from abawfw.models.losses.va_loss import VALoss
from abawfw.registry import LOSSES


@LOSSES.register_module()
class BinnedCrossEntropyLoss(VALoss):
    """Cross entropy of a `BinHead`'s logits to the bin that holds the label (docs/rucaim3.md, Training).

    Mean over valid frames, then over targets.
    """

    name = 'ce'
    on_classes = True

    def compute(self, pred: Tensor, label: Tensor, known: Tensor) -> Tensor:
        """Return the mean cross entropy of logits ``(batch, time, targets, classes)``."""
        each = functional.cross_entropy(pred.movedim(-1, 1), label, reduction='none')
        return (each.masked_fill(~known, 0.0).sum((0, 1)) / known.sum((0, 1)).clamp(min=1)).mean()
