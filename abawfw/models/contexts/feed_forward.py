"""Frame-wise layer in front of a temporal model."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from abawfw.components import Probability, Width
from abawfw.models.layers import Dropout
from abawfw.registry import CONTEXTS


@CONTEXTS.register_module()
class FeedForward(nn.Module):
    """Linear, ReLU, dropout, each frame on its own (docs/rucaim3.md, The four models: FC).

    Args:
        in_dim: vector length of a frame.
        hidden: vector length it is mapped to.
        dropout: fraction of activations dropped in training.
    """

    stateful = False
    per_frame = True

    def __init__(self, in_dim: int, hidden: Width = 256, dropout: Probability = 0.1) -> None:
        super().__init__()
        self.linear = nn.Linear(in_dim, hidden)
        self.dropout = Dropout(dropout)
        self.out_dim = hidden

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Map ``x``, (batch, time, in_dim), to (batch, time, hidden)."""
        return self.dropout(F.relu(self.linear(x)))
