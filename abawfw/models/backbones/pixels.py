"""Pixels as a network takes them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def scale_pixels(frames: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Pixels as uint8 to float32, (x / 255 - mean) / std; any other type is taken as scaled already.

    Args:
        frames: (n, height, width, channels).
        mean: of each channel, between 0 and 1.
        std: of each channel.
    """
    if frames.dtype != torch.uint8:
        return frames.float()
    means, stds = frames.new_tensor(mean, dtype=torch.float32), frames.new_tensor(std, dtype=torch.float32)
    return frames.float().div_(255).sub_(means).div_(stds)
