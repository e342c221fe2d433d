"""Temporal convolutional network over one modality."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from abawfw.models.layers import MaskedBatchNorm, TemporalConvNet
from abawfw.registry import ENCODERS


@ENCODERS.register_module()
class TCN(nn.Module):
    """Causal `TemporalConvNet`, then batch normalisation over the observed frames (spec/tagf.md, Models).

    A frame that was not observed enters as zeros, whatever it holds, and its output enters no batch
    statistics. It still has an output, which tells of the observed frames before it; what is to become of
    that is for the fusion to say. Padding at the end of a clip influences no frame.

    Args:
        in_dim: vector length of a frame.
        channels: number of channels of each level; the last one is the length of the vectors that come out.
        kernel: frames a convolution looks at.
        dropout: share of activations dropped in training.

    Raises:
        ConfigError: there is no level, or the kernel is below 1.
    """

    def __init__(self, in_dim: int, channels: Sequence[int], kernel: int = 5, dropout: float = 0.1) -> None:
        super().__init__()
        self.tcn = TemporalConvNet(in_dim, channels, kernel, dropout)
        self.norm = MaskedBatchNorm(channels[-1])
        self.out_dim = channels[-1]

    def forward(self, x: Tensor, observed: Tensor) -> Tensor:
        """Map a sequence to one of the same length.

        Args:
            x: (batch, time, in_dim).
            observed: (batch, time) bool.

        Returns:
            (batch, time, out_dim).
        """
        return self.norm(self.tcn(x.masked_fill(~observed.unsqueeze(-1), 0.0)), observed)
