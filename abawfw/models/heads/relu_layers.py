"""The hidden layers of RUCAIM3's regressor."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from abawfw.models.layers import Dropout


def relu_layers(in_dim: int, layers: Sequence[int], dropout: float) -> nn.Sequential:
    """Build [Linear, ReLU, Dropout]* (docs/rucaim3.md, The four models).

    Layer ``3 i`` holds the same parameters as ``module.{3 i}`` of the reference.

    Args:
        in_dim: width of the sequence that comes in.
        layers: widths of the hidden layers.
        dropout: probability of dropping a hidden unit.
    """
    hidden: list[nn.Module] = []
    for width, wider in pairwise([in_dim, *layers]):
        hidden += [nn.Linear(width, wider), nn.ReLU(), Dropout(dropout)]
    return nn.Sequential(*hidden)
