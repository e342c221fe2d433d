"""Fusion by attention over the modalities of a frame, beside the leading one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from abawfw.components import Probability, Width
from abawfw.errors import ConfigError
from abawfw.models.layers import Dropout
from abawfw.models.layers.cpu.linear import Linear
from abawfw.registry import FUSIONS


@FUSIONS.register_module()
class LeaderFollowerFusion(nn.Module):
    """The leader, the first modality, next to what the modalities of a frame learn from each other: LFAN.

    Each modality is a token of a frame. The tokens attend to one another, their own values are added, then
    follow an output projection over all of them, dropout and layer normalisation (docs/tagf.md, Models).

    A modality that was not observed in a frame enters as zeros there, is attended to with weight 0 and adds
    no value of its own; what its input holds has no influence. With everything observed this is the
    reference, whose parameters ``fusion.layers.self_attn.qkv_proj.{modality}``, ``...o_proj`` and
    ``fusion.layers.norm1`` are ``qkv_proj.{modality}``, ``o_proj`` and ``norm`` here.

    Args:
        in_dims: vector length of each modality; the first one leads.
        dim: vector length of a token.
        heads: attention heads; they divide ``dim``.
        dropout: fraction of the input of the normalisation dropped in training.

    Raises:
        ConfigError: ``heads`` does not divide ``dim``.
    """

    per_frame = True

    def __init__(
        self, in_dims: dict[str, int], dim: Width = 32, heads: Width = 2, dropout: Probability = 0.1
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ConfigError(f'{heads} attention heads do not divide a width of {dim}: change one of them')
        self.names, self.heads = tuple(in_dims), heads
        width = dim * len(in_dims)
        projections = {name: Linear(size, 3 * dim) for name, size in in_dims.items()}
        self.qkv_proj = nn.ModuleDict(projections)
        self.o_proj = Linear(width, width)
        for linear in (*projections.values(), self.o_proj):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(width)
        self.out_dim = in_dims[self.names[0]] + width

    def forward(self, inputs: dict[str, Tensor], observed: dict[str, Tensor]) -> Tensor:
        """Fuse the modalities of each frame.

        Args:
            inputs: ``{modality: (batch, time, dim)}``.
            observed: ``{modality: (batch, time) bool}``.

        Returns:
            (batch, time, vector length of the leader + number of modalities * dim).
        """
        x = {name: inputs[name].masked_fill(~observed[name].unsqueeze(-1), 0.0) for name in self.names}
        mixed, _ = self.attend(x, observed)
        follower = self.norm(self.dropout(self.o_proj(mixed.flatten(2))))
        return torch.cat([x[self.names[0]], follower], dim=-1)

    def attend(self, inputs: dict[str, Tensor], observed: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Attend from each modality of a frame to all of them.

        Args:
            inputs: as in :meth:`forward`, zero where not observed.
            observed: as in :meth:`forward`.

        Returns:
            The values with those attended to added, (batch, time, heads, modalities, dim / heads), and the
            weights, (batch, time, heads, modalities, modalities), the last axis those attended to. They add
            up to 1 over it, or are 0 where no modality was observed.
        """
        seen = torch.stack([observed[name] for name in self.names], dim=-1)[:, :, None, :, None]
        tokens = [self.qkv_proj[name](inputs[name]).unflatten(-1, (self.heads, -1)) for name in self.names]
        query, key, value = torch.stack(tokens, dim=3).chunk(3, dim=-1)
        value = value.masked_fill(~seen, 0.0)
        scores = query @ key.transpose(-1, -2) * key.shape[-1] ** -0.5
        away = ~seen.transpose(-1, -2)
        # The lowest number, not minus infinity, whose softmax in a frame without any modality would be NaN.
        weights = scores.masked_fill(away, torch.finfo(scores.dtype).min).softmax(-1).masked_fill(away, 0.0)
        return value + weights.to(value.dtype) @ value, weights
