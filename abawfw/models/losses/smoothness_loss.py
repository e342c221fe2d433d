"""Difference of predictions of neighbouring frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from abawfw.components import Positive
from abawfw.errors import ConfigError
from abawfw.models.losses.va_loss import VALoss
from abawfw.registry import LOSSES


@LOSSES.register_module()
class SmoothnessLoss(VALoss):
    """Mean difference of the predictions of two frames in succession, averaged over targets.

    Pairs are those within a clip of which both frames have a label, as in team RAS (arXiv:2603.13056, whose
    code has it and whose configs do not use it). Beside other losses only: alone it asks for a constant.

    Args:
        power: 1: the absolute difference; 2: its square.
        targets: the targets this loss acts on; None: all of the head's.
        weight: factor of the returned value.

    Raises:
        ConfigError: another ``power``.
    """

    name = 'smoothness'

    def __init__(
        self, power: Literal[1, 2] = 2, targets: Sequence[str] | None = None, weight: Positive = 1.0
    ) -> None:
        super().__init__(targets, weight)
        if power not in (1, 2):
            raise ConfigError(f'SmoothnessLoss(power={power}): choose 1 or 2')
        self.power = power

    def compute(self, pred: Tensor, label: Tensor, known: Tensor) -> Tensor:
        """Return the mean over targets of the mean over pairs."""
        pairs = known[:, 1:] & known[:, :-1]
        step = (pred[:, 1:] - pred[:, :-1]).masked_fill(~pairs, 0.0)
        size = step.square() if self.power == 2 else step.abs()
        return (size.sum((0, 1)) / pairs.sum((0, 1)).clamp(min=1)).mean()
