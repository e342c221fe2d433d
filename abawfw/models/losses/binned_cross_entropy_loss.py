"""Cross entropy to the bin of the label, or to bins around it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from abawfw.components import NonNegative, Positive
from abawfw.errors import ConfigError
from abawfw.models.losses.va_loss import VALoss
from abawfw.registry import LOSSES


@LOSSES.register_module()
class BinnedCrossEntropyLoss(VALoss):
    """Cross entropy of a `BinHead`'s logits to the bin that holds the label (docs/rucaim3.md, Training).

    Mean over valid frames, then over targets.

    Args:
        targets: the targets this loss acts on; None: all of the head's.
        weight: factor of the returned value.
        sigma: standard deviation, in units of the target, of a normal distribution around the label. A bin
            then has the probability that it lies in it, of all between -1 and 1. 0: the bin of the label has
            all of it.

    Raises:
        ConfigError: a negative ``sigma``.
    """

    name = 'ce'
    on_classes = True

    def __init__(
        self, targets: Sequence[str] | None = None, weight: Positive = 1.0, sigma: NonNegative = 0.0
    ) -> None:
        super().__init__(targets, weight)
        if not sigma >= 0:
            raise ConfigError(f'BinnedCrossEntropyLoss(sigma={sigma}): a standard deviation is 0 or more')
        self.sigma = sigma

    def compute(self, pred: Tensor, label: Tensor, known: Tensor) -> Tensor:
        """Return the mean cross entropy of logits ``(batch, time, targets, classes)``."""
        wanted = label.movedim(-1, 1) if self.sigma else label
        each = functional.cross_entropy(pred.movedim(-1, 1), wanted, reduction='none')
        return (each.masked_fill(~known, 0.0).sum((0, 1)) / known.sum((0, 1)).clamp(min=1)).mean()
