"""Squared error."""

from __future__ import annotations

from torch import Tensor

from abawfw.models.losses.va_loss import VALoss
from abawfw.registry import LOSSES


@LOSSES.register_module()
class MSELoss(VALoss):
    """Squared error, summed over frames and averaged over targets (docs/rucaim3.md, Training).

    A sum grows with the number of valid frames in the batch; its `weight` has to allow for that.
    """

    name = 'mse'

    def compute(self, pred: Tensor, label: Tensor, known: Tensor) -> Tensor:
        """Return the sum of squared errors divided by the number of targets."""
        return (pred - label).square().sum() / known.shape[-1]
