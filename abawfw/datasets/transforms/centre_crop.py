"""The middle of every image."""

from __future__ import annotations

from typing import Any

from abawfw.datasets.transforms.crops import Crop
from abawfw.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CentreCrop(Crop):
    """Cut the middle out of the images of a clip, as evaluation does (docs/tagf.md, Preprocessing).

    Args:
        features: names of the image features, (time, height, width, colours); their type stays.
        size: height and width of the crop, in pixels.

    Raises:
        ConfigError: images smaller than the crop, or a feature without images.
    """

    per_frame = True

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crop the inputs."""
        inputs = results['inputs']
        for feature in self.features or ():
            down, right = self.room(feature, inputs[feature].shape[1:])
            top, left = down // 2, right // 2
            inputs[feature] = inputs[feature][:, top : top + self.size, left : left + self.size]
        return results
