"""Features that never come twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from abawfw.components import NonNegative
from abawfw.errors import ConfigError
from abawfw.registry import TRANSFORMS


@TRANSFORMS.register_module()
class Noise:
    """Add normal noise of mean 0 to features. For training only, and behind ``Normalize``.

    Args:
        std: standard deviation of the noise, in units of the features as they come.
        features: names of the features; None for all that the dataset loads. They become float32.

    Raises:
        ConfigError: a negative standard deviation, or a feature of bytes, whose unit is a grey level.
    """

    def __init__(self, std: NonNegative, features: Sequence[str] | None = None) -> None:
        if not std >= 0:
            raise ConfigError(f'Noise(std={std}): a standard deviation is 0 or more')
        self.std = std
        self.features = None if features is None else list(features)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add noise to the inputs."""
        inputs, rng = results['inputs'], results['rng']()
        for feature in self.features or ():
            values = inputs[feature]
            if values.dtype == np.uint8:
                raise ConfigError(
                    f'Noise: feature {feature!r} holds bytes, not vectors; name the others, features=[...]'
                )
            noise = rng.standard_normal(values.shape, np.float32)
            noise *= np.float32(self.std)
            noise += values
            inputs[feature] = noise
        return results
