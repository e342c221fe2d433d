"""Initial weights of RUCAIM3 (golden ``init_stats``): small normal weights, zero biases."""

from __future__ import annotations

from torch import nn

WEIGHT_STD = 0.02


def linear(in_dim: int, out_dim: int) -> nn.Linear:
    """Make a linear layer with weights drawn from N(0, .02) and biases of zero."""
    layer = nn.Linear(in_dim, out_dim)
    nn.init.normal_(layer.weight, 0.0, WEIGHT_STD)
    nn.init.zeros_(layer.bias)
    return layer
