"""Batch normalisation that omits frames which are not there."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOMENTUM = 0.1  # both torch's defaults, which TAGF and its family use
EPS = 1e-5


class MaskedBatchNorm(nn.Module):
    """Batch normalisation over the frames of a mask; parameters and buffers named as in ``nn.BatchNorm1d``.

    In training mean and variance are those of the frames in the mask, over batch and time; every frame is
    normalised by them, those outside the mask too, without any influence on the others. A batch with fewer
    than two frames has no variance: it is normalised by the running statistics, and leaves them as they are.
    With all frames in the mask this is ``nn.BatchNorm1d`` (docs/tagf.md, What differs, and why).

    Args:
        dim: number of channels.

    Attributes:
        momentum: how much of the running statistics a batch replaces; None for the mean over all batches, as
            in ``nn.BatchNorm1d``.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.momentum: float | None = MOMENTUM
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.register_buffer('running_mean', torch.zeros(dim))
        self.register_buffer('running_var', torch.ones(dim))
        self.register_buffer('num_batches_tracked', torch.tensor(0))

    def reset_running_stats(self) -> None:
        """Begin the running statistics anew."""
        self.running_mean.zero_()
        self.running_var.fill_(1.0)
        self.num_batches_tracked.zero_()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Normalise each channel.

        Args:
            x: (batch, time, dim).
            mask: (batch, time) bool, the frames whose statistics are taken in training.

        Returns:
            (batch, time, dim), of the type of ``x``.
        """
        rows = x.flatten(0, 1)
        if self.training:
            return self._of_batch(rows, mask).view(x.shape)
        return F.batch_norm(rows, self.running_mean, self.running_var, self.weight, self.bias, eps=EPS).view(
            x.shape
        )

    def _of_batch(self, rows: Tensor, mask: Tensor) -> Tensor:
        """Normalise (frames, dim) by the statistics of the frames in the mask, as many as there are."""
        # Sums over frames as products with a vector: on a CPU torch.var_mean takes ten times as long.
        with torch.autocast(rows.device.type, enabled=False):
            values = rows.to(self.weight.dtype)
            count = mask.sum().to(values.dtype)
            enough = count >= 2
            part = mask.flatten().to(values.dtype) / count.clamp(min=1)
            mean = torch.where(enough, part @ values, self.running_mean)
            centred = values - mean
            var = part @ centred.square()
            with torch.no_grad():
                self.num_batches_tracked += enough
                part_of = (
                    1 / self.num_batches_tracked.clamp(min=1) if self.momentum is None else self.momentum
                )
                weight = part_of * enough.to(values.dtype)
                self.running_mean.lerp_(mean, weight)
                self.running_var.lerp_(var * (count / (count - 1).clamp(min=1)), weight)
            var = torch.where(enough, var, self.running_var)
            y = centred * (self.weight * torch.rsqrt(var + EPS)) + self.bias
        return y.to(rows.dtype)
