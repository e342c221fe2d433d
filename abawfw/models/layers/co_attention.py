"""One step of dense co-attention."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from abawfw.models.layers.dropout import Dropout
from abawfw.models.layers.linear import Linear
from abawfw.models.layers.time_mix import TIME_MIXES

JOINTS = {'projected': lambda dim: Linear(dim, dim), 'raw': lambda dim: nn.Identity()}


class CoAttentionStep(nn.Module):
    """Each modality attends, channel by channel, to all of them joined (docs/tagf.md, Models).

    Args:
        dims: vector length of each modality, in the order in which they are joined.
        joint: a key of ``JOINTS``: whether the joined modalities are projected.
        time_mix: a key of ``TIME_MIXES``: how keys mix frames.
        length: frames of every window, for ``linear`` only.
        dropout: share of scores and of updates dropped in training.
    """

    def __init__(
        self, dims: dict[str, int], joint: str, time_mix: str, length: int | None, dropout: float
    ) -> None:
        super().__init__()
        width = sum(dims.values())
        self.joint = JOINTS[joint](width)
        self.keys = nn.ModuleDict({m: TIME_MIXES[time_mix](dim, length) for m, dim in dims.items()})
        self.values = nn.ModuleDict({m: Linear(dim, dim) for m, dim in dims.items()})
        self.outputs = nn.ModuleDict({m: Linear(width, dim) for m, dim in dims.items()})
        self.dropout = Dropout(dropout)

    def forward(self, x: dict[str, Tensor], part: dict[str, Tensor]) -> dict[str, Tensor]:
        """Update every modality.

        Args:
            x: ``{modality: (batch, time, dim)}``, zero where ``part`` is False.
            part: ``{modality: (batch, time) bool}``: frames that take part.

        Returns:
            The same as ``x``, zero where ``part`` is False.
        """
        updated = {}
        for m, weighted in self.attend(x, part).items():
            update = self.dropout(self.outputs[m](weighted).relu_())
            updated[m] = (x[m] + update).masked_fill_(~part[m][..., None], 0)
        return updated

    def attend(self, x: dict[str, Tensor], part: dict[str, Tensor]) -> dict[str, Tensor]:
        """What each modality attends to: ``{modality: (batch, time, sum of dims)}``."""
        joined = self.joint(torch.cat(list(x.values()), dim=-1))
        joined = joined / math.sqrt(joined.shape[-1])
        weighted = {}
        for m, sequence in x.items():
            keys = self.keys[m](sequence, part[m])
            scores = self.dropout(torch.tanh(keys.mT @ joined))
            # The order of the two makes no difference, and this one needs a tensor less.
            weighted[m] = torch.tanh((self.values[m](sequence) @ scores).relu_())
        return weighted
