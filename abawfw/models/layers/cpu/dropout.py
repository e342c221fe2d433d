"""Dropout with masks that are cheap to draw on a CPU."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from abawfw.errors import ConfigError

STEPS = 65536  # resolution of the probability: keeping and rescaling use the same multiple of 1 / STEPS


class Dropout(nn.Module):
    """Dropout whose masks, on a CPU, cost a fraction of those of ``torch.nn.Dropout``.

    torch draws a Bernoulli variable per element, 5 ns each, which makes up 40 % of a bf16 training step. Here
    a fast generator fills the memory with random bits, and 16 of them decide for an element. The generator is
    seeded from torch's global one for each mask, so the state of that alone determines the masks, and a run
    resumed with it draws the same ones.

    Args:
        p: fraction of elements dropped, in [0, 1).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ConfigError(f'dropout {p}: a fraction from 0 to below 1 is needed')
        self.p = p

    def extra_repr(self) -> str:
        """The fraction, for printing a model."""
        return f'p={self.p}'

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements of ``x``, of any shape, in training, and scale the others to keep the expectation."""
        if not self.training or self.p == 0:
            return x
        if not drawn_here(x):
            return F.dropout(x, self.p)
        mask, scale = draw_mask(x.shape, self.p, x.dtype)
        if x.dtype == torch.float32:
            return x * mask.mul_(scale)  # one pass in the backward direction, where the other way has two
        # Not one product with a scaled mask: in bfloat16 1 / 0.9 is rounded to 1.109.
        return (x * mask).mul_(scale)


def drawn_here(x: Tensor) -> bool:
    """Whether a CPU computes a tensor, and no graph is being compiled, which has a cheap generator itself."""
    return x.device.type == 'cpu' and not torch.compiler.is_dynamo_compiling()


def draw_mask(shape: torch.Size, p: float, dtype: torch.dtype) -> tuple[Tensor, float]:
    """Draw a mask on the CPU: 0 with probability ``p`` rounded to 16 bits, else 1; and 1 / P(1)."""
    dropped = min(round(p * STEPS), STEPS - 1)
    seed = int(torch.randint(2**63 - 1, ()))
    random = np.random.Generator(np.random.SFC64(seed))
    size = shape.numel()
    words = torch.from_numpy(random.integers(0, 2**64, -(-size // 4), dtype=np.uint64).view(np.int16))[:size]
    mask = torch.empty(size, dtype=dtype)
    torch.ge(words, dropped - STEPS // 2, out=mask)
    return mask.view(shape), STEPS / (STEPS - dropped)
