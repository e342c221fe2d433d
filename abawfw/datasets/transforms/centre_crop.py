"""The middle of every image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from abawfw.components import Width
from abawfw.datasets.transforms.crops import Dims, check_size, cropped_dims, room
from abawfw.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CentreCrop:
    """Cut the middle out of the images of a clip, as evaluation does (docs/tagf.md, Preprocessing).

    Args:
        features: names of the image features, (time, height, width, colours); their type stays.
        size: height and width of the crop, in pixels.

    Raises:
        ConfigError: images smaller than the crop, or a feature without images.
    """

    per_frame = True

    def __init__(self, features: Sequence[str], size: Width = 40) -> None:
        check_size('CentreCrop', size)
        self.features = list(features)
        self.size = size

    def output_dims(self, input_dims: dict[str, Dims]) -> dict[str, Dims]:
        """Sizes of frames after this transform, by feature."""
        return cropped_dims('CentreCrop', input_dims, self.features, self.size)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crop the inputs."""
        inputs = results['inputs']
        for feature in self.features:
            down, right = room('CentreCrop', feature, inputs[feature].shape[1:], self.size)
            top, left = down // 2, right // 2
            inputs[feature] = inputs[feature][:, top : top + self.size, left : left + self.size]
        return results
