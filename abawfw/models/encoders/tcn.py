"""Temporal convolutional network over one modality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from annotated_types import Len
from torch import Tensor, nn

from abawfw.components import Count, Positive, Probability, Width
from abawfw.models.layers import MaskedBatchNorm, TemporalConvNet
from abawfw.registry import ENCODERS


@ENCODERS.register_module()
class TCN(nn.Module):
    """Causal `TemporalConvNet`, then batch normalisation over the observed frames (docs/tagf.md, Models).

    Without ``norm`` and with ``activation='prelu'`` it is that of Mamba-VA (docs/mamba_va.md, Models).

    A frame that was not observed enters as zeros, whatever it holds, and its output enters no batch
    statistics. It still has an output, which depends on the observed frames before it; what is to become of
    that is for the fusion to say. Padding at the end of a clip influences no frame.

    Args:
        in_dim: vector length of a frame.
        channels: number of channels of each level; the last one is the length of the vectors that come out.
        kernel: frames a convolution looks at.
        dropout: fraction of activations dropped in training.
        activation: ``leaky_relu``, or ``prelu``, whose slopes are learned.
        norm: normalise after the last level.
        residual_std: standard deviation of the initial weights of the convolutions of width 1 around a level;
            None for Xavier's.

    Raises:
        ConfigError: there is no level, the kernel is below 1, or the activation is unknown.
    """

    def __init__(
        self,
        in_dim: int,
        channels: Annotated[Sequence[Width], Len(1, 24)],
        kernel: Count = 5,
        dropout: Probability = 0.1,
        activation: Literal['leaky_relu', 'prelu'] = 'leaky_relu',
        norm: bool = True,
        residual_std: Positive | None = None,
    ) -> None:
        super().__init__()
        self.tcn = TemporalConvNet(in_dim, channels, kernel, dropout, activation, residual_std)
        self.norm = MaskedBatchNorm(channels[-1]) if norm else None
        self.out_dim = channels[-1]

    def forward(self, x: Tensor, observed: Tensor) -> Tensor:
        """Map a sequence to one of the same length.

        Args:
            x: (batch, time, in_dim).
            observed: (batch, time) bool.

        Returns:
            (batch, time, out_dim).
        """
        return self._normalised(self.tcn(_shown(x, observed)), observed)

    def stream_state(self, n: int, device: torch.device | None = None) -> Any:
        """State of ``n`` videos before their first frame."""
        return self.tcn.stream_state(n, device)

    def stream(self, x: Tensor, observed: Tensor, state: Any) -> tuple[Tensor, Any]:
        """As :meth:`forward` of frames that follow on those which left ``state``; also the state after.

        In evaluation only: batch statistics are those of a batch.
        """
        y, after = self.tcn.stream(_shown(x, observed), state)
        return self._normalised(y, observed), after

    def _normalised(self, y: Tensor, observed: Tensor) -> Tensor:
        return y if self.norm is None else self.norm(y, observed)


def _shown(x: Tensor, observed: Tensor) -> Tensor:
    """Frames, zero where not observed."""
    return x.masked_fill(~observed.unsqueeze(-1), 0.0)
