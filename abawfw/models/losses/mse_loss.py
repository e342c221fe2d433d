"""Squared error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from abawfw.components import Positive
from abawfw.errors import ConfigError
from abawfw.models.losses.va_loss import VALoss
from abawfw.registry import LOSSES


@LOSSES.register_module()
class MSELoss(VALoss):
    """Squared error, summed over frames and averaged over targets (docs/rucaim3.md, Training).

    A sum grows with the number of valid frames in the batch; its `weight` has to allow for that.

    Args:
        over: ``'sum'`` over valid frames, or their ``'mean'`` (arXiv:2603.13056), for each target.
        targets: the targets this loss acts on; None: all of the head's.
        weight: factor of the returned value.

    Raises:
        ConfigError: `over` is neither of them.
    """

    name = 'mse'

    def __init__(
        self,
        over: Literal['sum', 'mean'] = 'sum',
        targets: Sequence[str] | None = None,
        weight: Positive = 1.0,
    ) -> None:
        super().__init__(targets, weight)
        if over not in ('sum', 'mean'):
            raise ConfigError(f"MSELoss: over={over!r} is unknown; choose 'sum' or 'mean'")
        self.over = over

    def compute(self, pred: Tensor, label: Tensor, known: Tensor) -> Tensor:
        """Return the mean over targets of the sum, or mean, of squared errors."""
        each = (pred - label).square()
        if self.over == 'sum':
            return each.sum() / known.shape[-1]
        return (each.sum((0, 1)) / known.sum((0, 1)).clamp(min=1)).mean()
