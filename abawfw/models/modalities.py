"""From the inputs of a batch to one vector per frame and modality."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from abawfw.errors import DataError
from abawfw.structures.va_batch import Frames


def to_vectors(
    inputs: Mapping[str, Tensor],
    frames: Frames,
    input_dims: Mapping[str, Any],
    backbones: Mapping[str, Any],
    optional: Collection[str],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Run the backbones over the frames to be seen; the others would cost time and enter batch statistics.

    Args:
        inputs: ``{modality: (batch, time, *dims)}``.
        frames: which of them exist and were observed.
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
    sequences, observed, seen = {}, {}, frames.observed
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
            at = frames.observed_at[column[name]] if frames.observed_at is not None else None
            sequences[name] = (
                values.float() if backbone is None else _per_frame(backbone, values, observed[name], at)
            )
    return sequences, observed


def _per_frame(backbone: Any, frames: Tensor, observed: Tensor, at: Tensor | None) -> Tensor:
    """Vectors of the observed frames, (batch, time, dim), zero elsewhere.

    Args:
        backbone: of the modality.
        frames: (batch, time, *dims).
        observed: (batch, time) bool.
        at: places of the observed frames in (batch * time); None to run over all, as where the host does not
            know, or where these are all.
    """
    rows = frames.flatten(0, 1)
    if at is None:
        return backbone(rows).unflatten(0, observed.shape).masked_fill(~observed.unsqueeze(-1), 0)
    if not len(at):  # batch statistics of nothing do not exist
        return torch.zeros(*observed.shape, backbone.out_dim, device=frames.device)
    vectors = backbone(rows[at])
    return (
        vectors.new_zeros(len(rows), backbone.out_dim).index_put((at,), vectors).unflatten(0, observed.shape)
    )
