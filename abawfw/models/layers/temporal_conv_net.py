"""One level of a temporal convolutional network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from abawfw.errors import ConfigError
from abawfw.models.layers.cpu.dropout import Dropout

SLOPE = 0.01  # of the leaky ReLUs

State = tuple[Tensor, Tensor]


class LeakyReLU(nn.Module):
    """Leaky ReLU that writes over its input."""

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape."""
        return F.leaky_relu(x, SLOPE, inplace=True)


# By name; PReLU learns one slope.
ACTIVATIONS: dict[str, type[nn.Module]] = {'leaky_relu': LeakyReLU, 'prelu': nn.PReLU}


class TemporalBlock(nn.Module):
    """Twice [weight-normed causal convolution, activation, dropout], a residual, activation.

    Args:
        in_dim: vector length of a frame.
        out_dim: number of channels; the residual is projected where it differs from ``in_dim``.
        kernel: frames a convolution looks at.
        dilation: distance of these frames.
        dropout: fraction of activations dropped in training.
        activation: one of `ACTIVATIONS`.
        residual_std: standard deviation of the initial weights of that projection; None for Xavier's.
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        kernel: int,
        dilation: int,
        dropout: float,
        activation: str,
        residual_std: float | None,
    ) -> None:
        super().__init__()
        self.conv1 = weight_norm(nn.Conv1d(in_dim, out_dim, kernel, dilation=dilation))
        self.conv2 = weight_norm(nn.Conv1d(out_dim, out_dim, kernel, dilation=dilation))
        self.dropout = Dropout(dropout)
        # Dilation means nothing to a kernel of one frame, but with it torch leaves the convolution to oneDNN
        # also in a single thread, which halves its time.
        self.downsample = nn.Conv1d(in_dim, out_dim, 1, dilation=2) if in_dim != out_dim else None
        if self.downsample is not None:
            if residual_std is None:
                nn.init.xavier_uniform_(self.downsample.weight, gain=2**0.5)
            else:
                nn.init.normal_(self.downsample.weight, std=residual_std)
        self.relu1, self.relu2, self.relu = (ACTIVATIONS[activation]() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, time, in_dim) to (batch, time, out_dim)."""
        residual = self._residual(x)
        for conv, relu in self._steps:
            x = self.dropout(relu(_convolve(conv, F.pad(x, (0, 0, _reach(conv), 0)))))
        return self.relu(x + residual)

    def stream_state(self, n: int, device: torch.device | None = None) -> State:
        """Inputs of the two convolutions before the first frame: zeros, each (n, frames, channels)."""
        first, second = (
            torch.zeros(n, _reach(conv), conv.in_channels, device=device) for conv in (self.conv1, self.conv2)
        )
        return first, second

    def stream(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """As :meth:`forward` of frames that follow on those which left ``state``.

        Args:
            x: (batch, time, in_dim).
            state: last inputs of each of the two convolutions, as many frames as they look back.

        Returns:
            (batch, time, out_dim), and the state after these frames.
        """
        residual = self._residual(x)
        after = []
        for (conv, relu), past in zip(self._steps, state, strict=True):
            x = torch.cat([past, x], dim=1)
            after.append(x[:, x.shape[1] - past.shape[1] :])
            x = self.dropout(relu(_convolve(conv, x)))
        return self.relu(x + residual), (after[0], after[1])

    def _residual(self, x: Tensor) -> Tensor:
        return x if self.downsample is None else _convolve(self.downsample, x)

    @property
    def _steps(self) -> tuple[tuple[nn.Conv1d, nn.Module], ...]:
        return (self.conv1, self.relu1), (self.conv2, self.relu2)


def _reach(conv: nn.Conv1d) -> int:
    """How many frames back a convolution looks."""
    (kernel,), (dilation,) = conv.kernel_size, conv.dilation
    return (kernel - 1) * dilation


def _convolve(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """Convolve (batch, time, channels), without padding.

    The same as ``conv`` of the transposed input. As a convolution of images one pixel high, with their
    channels last, it needs no transposed copies, and on a CPU costs up to a sixth less.
    """
    (dilation,) = conv.dilation
    images = x.transpose(1, 2).unsqueeze(2)
    y = F.conv2d(images, conv.weight.unsqueeze(2), conv.bias, dilation=(1, dilation))
    return y.squeeze(2).transpose(1, 2)


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
        dropout: fraction of activations dropped in training.
        activation: ``leaky_relu``, or ``prelu``, with three slopes per level (docs/mamba_va.md, Models).
        residual_std: standard deviation of the initial weights of the residual's projections; None for
            Xavier's.

    Raises:
        ConfigError: there is no level, the kernel is below 1, or the activation is unknown.
    """

    def __init__(
        self,
        in_dim: int,
        channels: Sequence[int],
        kernel: int = 5,
        dropout: float = 0.1,
        activation: str = 'leaky_relu',
        residual_std: float | None = None,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ConfigError(
                f'a TCN has no activation {activation!r}: choose one of {", ".join(ACTIVATIONS)}'
            )
        if not channels or kernel < 1:
            raise ConfigError(
                f'a TCN needs a level or more and a kernel of 1 or more, not channels={list(channels)} and '
                f'kernel={kernel}'
            )
        self.network = nn.Sequential(
            *(
                TemporalBlock(width, out, kernel, 2**level, dropout, activation, residual_std)
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
