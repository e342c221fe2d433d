"""Dropout with masks that are cheap to draw on a CPU."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Module):
    """Dropout.

    Args:
        p: share of elements dropped.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements of ``x``, of any shape, in training."""
        return F.dropout(x, self.p, self.training)
