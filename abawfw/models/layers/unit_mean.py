"""Mean over the channels of vectors brought to unit length."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

EPS = 1e-12  # shorter vectors are left as they are, as torch.nn.functional.normalize does


class UnitMean(torch.autograd.Function):
    """Mean over channels of ``F.normalize(x)``, without writing down the normalised vectors."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """(..., channels) -> (...,), in float32 or finer."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        mean = x.mean(dim=-1, dtype=dtype)
        length = torch.linalg.vector_norm(x, dim=-1, dtype=dtype).clamp(min=EPS)
        ctx.save_for_backward(x, mean, length)
        return mean / length

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Gradient of ``x``: one part alike for all channels, one along ``x``."""
        x, mean, length = ctx.saved_tensors
        alike = grad / (length * x.shape[-1])
        along = grad * mean / length**3
        return torch.addcmul(alike[..., None].to(x.dtype), x, along[..., None].to(x.dtype), value=-1)
