"""From the inputs of a batch to one vector per frame and modality."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from abawfw.errors import DataError


def to_vectors(
    inputs: Mapping[str, Tensor],
    seen: Tensor,
    input_dims: Mapping[str, Any],
    backbones: Mapping[str, Any],
    optional: Collection[str],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Run the backbones over the frames to be seen; the others would cost time and enter batch statistics.

    Args:
        inputs: ``{modality: (batch, time, *dims)}``.
        seen: (batch, time, modalities of ``inputs``) bool, where each was observed.
        input_dims: size of a frame of each modality of the model, in its order.
        backbones: of the modalities that are no vectors yet.
        optional: modalities that may be absent: zeros, nothing of which was observed.

    Returns:
        Per modality of the model: vectors (batch, time, dim), zero where a backbone saw nothing, and where it
        was observed, (batch, time) bool.

    Raises:
        DataError: a modality is absent that may not be.
    """
    column = {name: i for i, name in enumerate(inputs)}
    sequences, observed = {}, {}
    for name, dims in input_dims.items():
        backbone = backbones.get(name)
        if name not in inputs:
            if name not in optional:
                raise DataError(
                    f'the model needs the modality {name}, and there are {", ".join(inputs)}: add it to the '
                    f'features, or train a model with optional=[{name!r}]'
                )
            observed[name] = seen.new_zeros(seen.shape[:2])
            width = dims if backbone is None else backbone.out_dim
            sequences[name] = torch.zeros(*seen.shape[:2], width, device=seen.device)
        else:
            observed[name] = seen[..., column[name]]
            values = inputs[name]
            # stores keep vectors of half precision, too
            sequences[name] = (
                values.float() if backbone is None else _per_frame(backbone, values, observed[name])
            )
    return sequences, observed


def _per_frame(backbone: Any, frames: Tensor, observed: Tensor) -> Tensor:
    """Vectors of the observed frames, (batch, time, dim), zero elsewhere."""
    if torch.compiler.is_exporting():  # which frames were observed is unknown while the graph is made
        vectors = backbone(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        return vectors.masked_fill(~observed.unsqueeze(-1), 0)
    if not observed.any():  # batch statistics of nothing do not exist
        return torch.zeros(*observed.shape, backbone.out_dim, device=frames.device)
    vectors = backbone(frames[observed])
    return vectors.new_zeros(*observed.shape, backbone.out_dim).index_put((observed,), vectors)
