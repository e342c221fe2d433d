"""Fusion by attention over the channels of all modalities."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from abawfw.components import Width
from abawfw.models.layers.cpu.linear import Linear
from abawfw.registry import FUSIONS


@FUSIONS.register_module()
class ChannelAttentionFusion(nn.Module):
    """Modalities projected to equal length and concatenated, times a softmax over the channels of this: CAN.

    The softmax is that of a linear map of the concatenation (docs/tagf.md, Models). A modality that was not
    observed in a frame contributes zeros there, and its channels take no part in the softmax. With
    everything observed this is the reference, whose parameters ``fuse.attn.{position}`` and ``fuse.weights``
    are ``projections.{modality}`` and ``weights`` here.

    Args:
        in_dims: vector length of each modality; its order is the order of concatenation.
        dim: vector length that each modality is projected to.
    """

    per_frame = True

    def __init__(self, in_dims: dict[str, int], dim: Width = 128) -> None:
        super().__init__()
        self.dim = dim
        self.projections = nn.ModuleDict({name: Linear(size, dim) for name, size in in_dims.items()})
        self.out_dim = dim * len(in_dims)
        self.weights = Linear(self.out_dim, self.out_dim)

    def forward(self, inputs: dict[str, Tensor], observed: dict[str, Tensor]) -> Tensor:
        """Fuse the modalities of each frame.

        Args:
            inputs: ``{modality: (batch, time, dim)}``.
            observed: ``{modality: (batch, time) bool}``.

        Returns:
            (batch, time, number of modalities * dim), zeros where none was observed.
        """
        away = ~torch.stack([observed[name] for name in self.projections], dim=-1)
        away = away.repeat_interleave(self.dim, dim=-1)
        joint = torch.cat([project(inputs[name]) for name, project in self.projections.items()], dim=-1)
        joint = joint.masked_fill(away, 0.0)
        scores = self.weights(joint)
        # The lowest number, not minus infinity, whose softmax in a frame without any modality would be NaN.
        return scores.masked_fill(away, torch.finfo(scores.dtype).min).softmax(-1) * joint
