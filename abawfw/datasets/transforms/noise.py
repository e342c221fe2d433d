"""Features that never come twice."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from abawfw.components import NonNegative
from abawfw.datasets.transforms.batch_transform import BatchTransform, frames_of
from abawfw.errors import ConfigError
from abawfw.registry import TRANSFORMS
from abawfw.structures import VABatch


@TRANSFORMS.register_module()
class Noise(BatchTransform):
    """Add normal noise of mean 0 to features. For training only, and behind ``Normalize``.

    Frames that were not observed stay zero.

    Args:
        std: standard deviation of the noise, in units of the features as they come.
        features: names of the features; None for all that the dataset loads. They become float32. One that
            the model takes as tokens is refused: with noise no two of its vectors are equal.

    Raises:
        ConfigError: a negative standard deviation, or a feature of bytes, whose unit is a grey level.
    """

    def __init__(self, std: NonNegative, features: Sequence[str] | None = None) -> None:
        if not std >= 0:
            raise ConfigError(f'Noise(std={std}): a standard deviation is 0 or more')
        self.std = std
        self.features = None if features is None else list(features)

    def __call__(self, inputs: dict[str, Tensor], batch: VABatch, generator: torch.Generator) -> None:
        """Add noise to the inputs."""
        columns = list(inputs)
        for feature in self.features or ():
            x, column = inputs[feature], columns.index(feature)
            if x.dtype == torch.uint8:
                raise ConfigError(
                    f'Noise: feature {feature!r} holds bytes, not vectors; name the others, features=[...]'
                )
            noise = torch.randn(x.shape, generator=generator, device=x.device).mul_(self.std).add_(x)
            if batch.observed_at[column] is not None:
                noise.masked_fill_(frames_of(~batch.observed[..., column], x), 0)
            inputs[feature] = noise
