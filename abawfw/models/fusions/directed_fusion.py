"""Fusion by attention in one direction: from one modality, or from all, to another."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from abawfw.components import Depth, Probability, Width
from abawfw.errors import ConfigError, nearest
from abawfw.models.layers.positioned_attention import PositionedLayer, projection
from abawfw.registry import FUSIONS

ALL = 'fusion'  # the mean of the modalities, as the reference calls it


@FUSIONS.register_module()
class DirectedFusion(nn.Module):
    """Layers of attention from the frames of one stream to those of others: the fusion of team RAS.

    Each modality is projected; queries, keys and values each come from one of these streams or from
    ``'fusion'``, their mean (arXiv:2603.13056, whose best has faces as queries, behaviour as keys and
    values). A layer adds what it gives to the stream of the queries, so that later layers see this in keys
    and values too, if they are of the same modality or ``'fusion'``; the mean, as queries, changes none of
    the modalities.

    A modality that was not observed in a frame enters as zeros there, whatever its input holds, is not
    attended to, and is left out of the mean. With everything observed this is the reference.

    Args:
        in_dims: vector length of each modality.
        query: a modality or ``fusion``.
        key: the same.
        value: the same.
        dim: width of the layers.
        layers: how many there are.
        heads: attention heads of a layer.
        dropout: fraction of activations dropped in training.

    Raises:
        ConfigError: an unknown modality, one that is called ``fusion`` or would have no influence, or
            ``heads`` does not divide ``dim``.
    """

    needs = 'every frame attends to all frames of its clip, later ones too'

    def __init__(
        self,
        in_dims: dict[str, int],
        query: str = ALL,
        key: str = ALL,
        value: str = ALL,
        dim: Width = 256,
        layers: Depth = 5,
        heads: Width = 8,
        dropout: Probability = 0.1,
    ) -> None:
        super().__init__()
        if ALL in in_dims:
            raise ConfigError(f'DirectedFusion: a modality cannot be called {ALL!r}, the mean of them all')
        for argument, name in (('query', query), ('key', key), ('value', value)):
            if name not in (*in_dims, ALL):
                raise ConfigError(
                    f'DirectedFusion({argument}={name!r}): no modality, {nearest(name, (*in_dims, ALL))}'
                )
        idle = [] if ALL in (query, key, value) else [m for m in in_dims if m not in (query, key, value)]
        if idle:
            raise ConfigError(
                f'DirectedFusion: {", ".join(idle)} would have no influence with query={query!r}, '
                f'key={key!r} and value={value!r}: name it in one of them, or take it out of the features'
            )
        self.query, self.key, self.value = query, key, value
        self.projections = nn.ModuleDict({m: projection(size, dim, dropout) for m, size in in_dims.items()})
        self.layers = nn.ModuleList(PositionedLayer(dim, heads, dropout) for _ in range(layers))
        self.out_dim = dim

    def forward(self, inputs: dict[str, Tensor], observed: dict[str, Tensor]) -> Tensor:
        """Fuse a batch of clips.

        Args:
            inputs: ``{modality: (batch, time, dim)}``.
            observed: ``{modality: (batch, time) bool}``: frames that exist and in which it was observed.

        Returns:
            (batch, time, dim)
        """
        return self.attend(projected(self.projections, inputs, observed), observed)

    def attend(self, streams: dict[str, Tensor], observed: dict[str, Tensor]) -> Tensor:
        """The layers over projected modalities, each (batch, time, dim)."""
        streams = dict(streams)
        seen = {**observed, ALL: torch.stack(list(observed.values())).any(dim=0)}
        mask = seen[self.key] & seen[self.value]
        x = self._stream(self.query, streams, observed)
        for layer in self.layers:
            key = self._stream(self.key, streams, observed)
            x = x + layer(x, key, self._stream(self.value, streams, observed), mask)
            if self.query != ALL:
                streams[self.query] = x
        return x

    def _stream(self, name: str, streams: dict[str, Tensor], observed: dict[str, Tensor]) -> Tensor:
        return observed_mean(streams, observed) if name == ALL else streams[name]


def projected(
    projections: nn.ModuleDict, inputs: dict[str, Tensor], observed: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Modalities by their projections, of zeros in frames in which they were not observed."""
    return {
        m: project(inputs[m].masked_fill(~observed[m][..., None], 0)) for m, project in projections.items()
    }


def observed_mean(streams: dict[str, Tensor], observed: dict[str, Tensor]) -> Tensor:
    """Mean over the modalities observed in a frame, or over all where none was, (batch, time, dim)."""
    seen = torch.stack([observed[m] for m in streams])
    counted = (seen | ~seen.any(dim=0))[..., None]
    return torch.stack(list(streams.values())).masked_fill(~counted, 0).sum(dim=0) / counted.sum(dim=0)
