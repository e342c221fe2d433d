"""Fusion by concatenation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from abawfw.registry import FUSIONS


@FUSIONS.register_module()
class ConcatFusion(nn.Module):
    """Concatenate the modalities along the feature axis, in the order in which the config lists them.

    Args:
        in_dims: vector length of each modality; its order is the order of concatenation.
    """

    per_frame = True

    def __init__(self, in_dims: dict[str, int]) -> None:
        super().__init__()
        self.names = tuple(in_dims)
        self.out_dim = sum(in_dims.values())

    def forward(self, inputs: dict[str, Tensor], observed: dict[str, Tensor]) -> Tensor:
        """Join ``{modality: (batch, time, dim)}`` to ``(batch, time, sum of dims)``."""
        if len(self.names) == 1:
            return inputs[self.names[0]]
        return torch.cat([inputs[name] for name in self.names], dim=-1)
