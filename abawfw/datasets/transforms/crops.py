"""What crops share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from abawfw.components import Width
from abawfw.errors import ConfigError

Dims = int | tuple[int, ...]


class Crop:
    """A square piece of every image of some features.

    Args:
        features: names of the image features, (time, height, width, colours); their type stays.
        size: height and width of the crop, in pixels.

    Raises:
        ConfigError: images smaller than the crop, or a feature without images.
    """

    features: list[str] | None

    def __init__(self, features: Sequence[str], size: Width = 40) -> None:
        if size < 1:
            raise ConfigError(f'{type(self).__name__}(size={size}): a crop has at least one pixel')
        self.features = list(features)
        self.size = size

    def output_dims(self, input_dims: dict[str, Dims]) -> dict[str, Dims]:
        """Sizes of frames after this transform, by feature; ConfigError where they cannot be cropped."""
        after = dict(input_dims)
        for feature in self.features or ():
            dims = input_dims[feature]
            self.room(feature, dims)
            after[feature] = (self.size, self.size, *dims[2:]) if isinstance(dims, tuple) else dims
        return after

    def room(self, feature: str, dims: Any) -> tuple[int, int]:
        """How far down and to the right a crop can lie in an image (height, width, colours).

        Raises:
            ConfigError: this is no image, or a smaller one.
        """
        if not isinstance(dims, tuple) or len(dims) != 3 or min(dims[:2]) < self.size:
            raise ConfigError(
                f'{type(self).__name__}(size={self.size}): a frame of feature {feature!r} is {dims}, '
                f'expected an image (height, width, colours) of at least {self.size}x{self.size}'
            )
        return dims[0] - self.size, dims[1] - self.size
