"""Attention to which positions are added in every layer (team RAS, arXiv:2603.13056)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from abawfw.models.layers.cpu.dropout import Dropout
from abawfw.models.layers.cpu.linear import Linear
from abawfw.models.layers.transformer import MultiheadAttention

POSITION_DROPOUT = 0.1  # of what enters a layer, with its positions; the reference has no argument for it


def projection(in_dim: int, dim: int, dropout: float) -> nn.Sequential:
    """Linear, layer normalisation, dropout: from the vectors of a modality to those of the layers."""
    return nn.Sequential(Linear(in_dim, dim), nn.LayerNorm(dim), Dropout(dropout))


def waves(places: Tensor, dim: int) -> Tensor:
    """Sinusoids of places: column 2 i is the sine and 2 i + 1 the cosine of place / 10000^(2 i / dim).

    Args:
        places: (n,) float32, of either sign.
        dim: number of columns.

    Returns:
        (n, dim)
    """
    column = torch.arange(0, dim, 2, device=places.device, dtype=torch.float32)
    angle = places[:, None] * torch.exp(column * (-math.log(10000.0) / dim))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)[:, :dim]


def positions_like(x: Tensor) -> Tensor:
    """Sinusoidal positions (time, dim) of a sequence ``x``, (batch, time, dim).

    Those of :func:`waves`, for any number of frames; frame 0 has 0, 1, 0, 1, ... Computed in float32, as by
    the reference: 2e-5 off at frame 400.
    """
    time, dim = x.shape[-2:]
    return waves(torch.arange(time, device=x.device, dtype=torch.float32), dim).to(x.dtype)


class PositionedLayer(nn.Module):
    """A layer of attention from one sequence to another.

    Positions are added to queries, keys and values; a frame's own vector, with its position, is carried past
    attention and feed-forward part through dropout, which acts on nothing else::

        q, k, v = drop(q + P), drop(k + P), drop(v + P)
        x = norm(attention(q, k, v) + drop(q))
        output = norm(linear(gelu(linear(x))) + drop(x))

    Args:
        dim: width of the sequences.
        heads: attention heads.
        dropout: fraction of attention weights and of what is carried past dropped in training.

    Raises:
        ConfigError: ``heads`` does not divide ``dim``.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = MultiheadAttention(dim, heads, dropout)
        nn.init.zeros_(self.attention.out_proj.bias)
        self.linear1, self.linear2 = Linear(dim, dim), Linear(dim, dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.enter = Dropout(POSITION_DROPOUT)
        self.dropout = Dropout(dropout)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """Attend from ``query`` to ``key`` and ``value``, all (batch, time, dim).

        Args:
            query: what attends; all its frames have an output.
            key: what it is compared with.
            value: what is taken from the same frames.
            mask: (batch, time) bool, True for frames that may be attended to. A clip without any attends to
                nothing.
        """
        table = positions_like(query)
        key, value, query = self.enter(key + table), self.enter(value + table), self.enter(query + table)
        some = mask.any(dim=1, keepdim=True)
        # A softmax over nothing would be NaN: such a clip sees all of its frames, and the result is omitted.
        seen = self.attention(query, key, mask | ~some, value)
        x = self.norm1(seen.masked_fill(~some[..., None], 0) + self.dropout(query))
        return self.norm2(self.linear2(F.gelu(self.linear1(x))) + self.dropout(x))
