"""One layer of a transformer encoder."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from abawfw.models.layers.attention import MultiheadAttention
from abawfw.models.layers.dropout import Dropout


class EncoderLayer(nn.Module):
    """Post-norm encoder layer with ReLU, parameters named as in ``torch.nn.TransformerEncoderLayer``.

    Args:
        dim: width of the sequence.
        heads: attention heads.
        ffn: width of the feed-forward part.
        dropout: share of attention weights and activations dropped in training.
    """

    def __init__(self, dim: int, heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(dim, heads, dropout)
        self.linear1 = nn.Linear(dim, ffn)
        self.linear2 = nn.Linear(ffn, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map (batch, time, dim) to the same shape; ``mask`` (batch, time) says what may be attended to."""
        x = self.norm1(x + self.dropout(self.self_attn(x, mask=mask)))
        inner = self.dropout(F.relu(self.linear1(x)))
        return self.norm2(x + self.dropout(self.linear2(inner)))
