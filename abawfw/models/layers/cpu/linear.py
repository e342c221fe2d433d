"""Linear maps that are fast on every CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Up to so many elements torch runs a dilated convolution of one image by separate code, a loop over frames.
SMALL = 20480


class Linear(nn.Linear):
    """``torch.nn.Linear``, computed by :func:`linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``torch.nn.functional.linear``, in float32 on a CPU by the library that also runs convolutions.

    torch leaves float32 products to MKL, which has no AVX-512 code for CPUs that are not Intel's and reaches
    half of their speed; oneDNN has. What torch lets it run in float32 are convolutions, and one that looks at
    a single frame is a linear map, in the memory layout of sequences.

    Args:
        x: (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features,).
    """
    if not left_to_mkl(x):
        return F.linear(x, weight, bias)
    # (..., channels) is the memory of an image (1, channels, rows, 1) in channels-last order.
    image = x.reshape(1, -1, 1, x.shape[-1]).permute(0, 3, 1, 2)
    # The dilation of a kernel of one element means nothing, but without it a single thread is sent to MKL.
    out = F.conv2d(image, weight[:, :, None, None], bias, dilation=2)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


def linear_over_time(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Linear map over time of each channel, as :func:`linear` and without transposing.

    Args:
        x: (batch, time, channels).
        weight: (time, time).
        bias: (time,).

    Returns:
        (batch, time, channels)
    """
    if not left_to_mkl(x):
        return F.linear(x.mT, weight, bias).mT
    return F.conv1d(x, weight[:, :, None], bias, dilation=2)


def left_to_mkl(x: Tensor) -> bool:
    """Whether MKL would multiply and oneDNN can: much float32, on a CPU, not to be rounded by autocast.

    Within a graph that is being compiled the compiler chooses.
    """
    return bool(
        not torch.compiler.is_dynamo_compiling()
        and x.device.type == 'cpu'
        and x.dtype == torch.float32
        and x.numel() > SMALL
        and not torch.is_autocast_enabled('cpu')
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
    )
