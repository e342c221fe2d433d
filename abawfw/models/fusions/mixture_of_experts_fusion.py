"""Fusion by experts, one for each ordered pair of modalities, and a gate over them."""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor, nn

from abawfw.components import Depth, Probability, Width
from abawfw.errors import ConfigError
from abawfw.models.fusions.directed_fusion import observed_mean, projected
from abawfw.models.layers.cpu.linear import Linear
from abawfw.models.layers.positioned_attention import PositionedLayer, projection
from abawfw.registry import FUSIONS


@FUSIONS.register_module()
class MixtureOfExpertsFusion(nn.Module):
    """Directed cross-modal experts, weighed frame by frame: DCMMOE of team RAS (arXiv:2603.13056).

    Each modality is projected, once for all experts. There is an expert for each ordered pair of different
    modalities: layers of attention from the frames of the first to those of the second. The gate weighs the
    experts by a softmax over a linear map of the mean of the projected modalities.

    A modality that was not observed in a frame enters as zeros there, whatever its input holds, is not
    attended to, and is left out of the mean that the gate sees.

    Args:
        in_dims: vector length of each modality; the order of the experts follows from its order.
        dim: width of the layers.
        layers: layers of an expert.
        heads: attention heads of a layer.
        dropout: fraction of activations dropped in training.

    Raises:
        ConfigError: fewer than two modalities, or ``heads`` does not divide ``dim``.
    """

    needs = 'every frame attends to all frames of its clip, later ones too'

    def __init__(
        self,
        in_dims: dict[str, int],
        dim: Width = 256,
        layers: Depth = 5,
        heads: Width = 16,
        dropout: Probability = 0.1,
    ) -> None:
        super().__init__()
        if len(in_dims) < 2:
            raise ConfigError(
                f'MixtureOfExpertsFusion has an expert for each pair of modalities, and there is only '
                f'{", ".join(in_dims)}: add a modality, or take DirectedFusion'
            )
        self.projections = nn.ModuleDict({m: projection(size, dim, dropout) for m, size in in_dims.items()})
        self.pairs = list(permutations(in_dims, 2))
        self.experts = nn.ModuleDict(
            {
                f'{query}__{key}': nn.ModuleList(PositionedLayer(dim, heads, dropout) for _ in range(layers))
                for query, key in self.pairs
            }
        )
        self.gate = Linear(dim, len(self.pairs))
        self.out_dim = dim

    def forward(self, inputs: dict[str, Tensor], observed: dict[str, Tensor]) -> Tensor:
        """Fuse a batch of clips.

        Args:
            inputs: ``{modality: (batch, time, dim)}``.
            observed: ``{modality: (batch, time) bool}``: frames that exist and in which it was observed.

        Returns:
            (batch, time, dim)
        """
        return self.mix(projected(self.projections, inputs, observed), observed)

    def mix(self, streams: dict[str, Tensor], observed: dict[str, Tensor]) -> Tensor:
        """Experts and gate over projected modalities, each (batch, time, dim)."""
        weights = self.weights(streams, observed)
        experts = torch.stack([self.expert(*pair, streams, observed) for pair in self.pairs], dim=-2)
        return (weights[..., None, :].to(experts.dtype) @ experts).squeeze(-2)

    def weights(self, streams: dict[str, Tensor], observed: dict[str, Tensor]) -> Tensor:
        """Of the experts in each frame, (batch, time, pairs); they add up to 1."""
        return self.gate(observed_mean(streams, observed)).softmax(dim=-1)

    def expert(self, query: str, key: str, streams: dict[str, Tensor], observed: dict[str, Tensor]) -> Tensor:
        """What the expert of a pair gives, (batch, time, dim)."""
        x, layers = streams[query], self.experts[f'{query}__{key}']
        for layer in layers.children():
            x = x + layer(x, streams[key], streams[key], observed[key])
        return x
