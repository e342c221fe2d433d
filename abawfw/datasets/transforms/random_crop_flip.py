"""Another crop of every image in each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from abawfw.components import Width
from abawfw.datasets.transforms.crops import Dims, check_size, cropped_dims, room
from abawfw.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomCropFlip:
    """Cut the same random piece out of all images of a clip, and mirror all of them or none.

    One place and one toss of a coin for the whole clip, so that a face does not jump from frame to frame
    (docs/tagf.md, Preprocessing). For training only: evaluation takes ``CentreCrop``.

    Args:
        features: names of the image features, (time, height, width, colours); their type stays.
        size: height and width of the crop, in pixels.

    Raises:
        ConfigError: images smaller than the crop, or a feature without images.
    """

    def __init__(self, features: Sequence[str], size: Width = 40) -> None:
        check_size('RandomCropFlip', size)
        self.features = list(features)
        self.size = size

    def output_dims(self, input_dims: dict[str, Dims]) -> dict[str, Dims]:
        """Sizes of frames after this transform, by feature."""
        return cropped_dims('RandomCropFlip', input_dims, self.features, self.size)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crop the inputs, and mirror them in one clip of two."""
        inputs, rng = results['inputs'], results['rng']()
        for feature in self.features:
            down, right = room('RandomCropFlip', feature, inputs[feature].shape[1:], self.size)
            top, left = rng.integers(0, down + 1), rng.integers(0, right + 1)
            crops = inputs[feature][:, top : top + self.size, left : left + self.size]
            inputs[feature] = crops[:, :, ::-1] if rng.random() < 0.5 else crops
        return results
