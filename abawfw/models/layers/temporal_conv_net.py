"""Dilated causal convolutions over time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from abawfw.errors import ConfigError
from abawfw.models.layers.temporal_block import State, TemporalBlock


class TemporalConvNet(nn.Module):
    """One `TemporalBlock` per level, with dilation 2^level (docs/tagf.md, Models).

    A frame's output depends on that frame and the ``2 (kernel - 1) (2^levels - 1)`` frames before it, never
    on one behind it. What lies before the first frame counts as zeros.

    Parameters are named as in the reference (``network.0.conv1.bias``), but for the weight norm, whose
    ``weight_g`` and ``weight_v`` are torch's ``parametrizations.weight.original0`` and ``original1``. Their
    initial values are torch's, as in the reference: its own way has no effect on weight-normed convolutions.

    Args:
        in_dim: vector length of a frame.
        channels: number of channels of each level.
        kernel: frames a convolution looks at.
        dropout: share of activations dropped in training.

    Raises:
        ConfigError: there is no level, or the kernel is below 1.
    """

    def __init__(self, in_dim: int, channels: Sequence[int], kernel: int = 5, dropout: float = 0.1) -> None:
        super().__init__()
        if not channels or kernel < 1:
            raise ConfigError(
                f'a TCN needs a level or more and a kernel of 1 or more, not channels={list(channels)} and '
                f'kernel={kernel}'
            )
        self.network = nn.Sequential(
            *(
                TemporalBlock(width, out, kernel, 2**level, dropout)
                for level, (width, out) in enumerate(pairwise([in_dim, *channels]))
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, time, in_dim) to (batch, time, channels of the last level)."""
        return self.network(x)

    def stream_state(self, n: int, device: torch.device | None = None) -> list[State]:
        """State of ``n`` sequences before their first frame, one per level."""
        return [block.stream_state(n, device) for block in self.blocks]

    def stream(self, x: Tensor, state: list[State]) -> tuple[Tensor, list[State]]:
        """As :meth:`forward` of frames that follow on those which left ``state``; also the state after."""
        after = []
        for block, before in zip(self.blocks, state, strict=True):
            x, now = block.stream(x, before)
            after.append(now)
        return x, after

    @property
    def blocks(self) -> list[TemporalBlock]:
        """The levels."""
        return [block for block in self.network if isinstance(block, TemporalBlock)]
