"""Batch normalisation that leaves out frames which are not there."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOMENTUM = 0.1  # both torch's defaults, which the systems of spec/tagf.md use
EPS = 1e-5


class MaskedBatchNorm(nn.Module):
    """Batch normalisation over the frames of a mask; parameters and buffers named as in ``nn.BatchNorm1d``.

    In training mean and variance are those of the frames in the mask, over batch and time; every frame is
    normalised by them, those outside the mask too, without any influence on the others. A batch with fewer
    than two frames has no variance: it is normalised by the running statistics, and leaves them as they are.
    With all frames in the mask this is ``nn.BatchNorm1d`` (spec/tagf.md, Models; Defects 3).

    Args:
        dim: number of channels.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.register_buffer('running_mean', torch.zeros(dim))
        self.register_buffer('running_var', torch.ones(dim))
        self.register_buffer('num_batches_tracked', torch.tensor(0))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Normalise each channel.

        Args:
            x: (batch, time, dim).
            mask: (batch, time) bool, the frames whose statistics are taken in training.

        Returns:
            (batch, time, dim), of the type of ``x``.
        """
        count = int(mask.sum()) if self.training else 0
        if count < 2:
            return self._whole(x, training=False)
        self.num_batches_tracked += 1
        if count == mask.numel():
            return self._whole(x, training=True)
        var, mean = torch.var_mean(x[mask].float(), dim=0, correction=0)
        with torch.no_grad():
            self.running_mean.lerp_(mean, MOMENTUM)
            self.running_var.lerp_(var * (count / (count - 1)), MOMENTUM)
        scale = self.weight * torch.rsqrt(var + EPS)
        return ((x - mean) * scale + self.bias).to(x.dtype)

    def _whole(self, x: Tensor, training: bool) -> Tensor:
        """Normalise by the statistics of all frames in training, otherwise by the running ones."""
        y = F.batch_norm(
            x.transpose(1, 2),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training,
            MOMENTUM,
            EPS,
        )
        return y.transpose(1, 2)
