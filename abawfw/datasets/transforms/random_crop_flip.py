"""Another crop of every image in each epoch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from abawfw.components import Width
from abawfw.datasets.transforms.batch_transform import BatchTransform
from abawfw.datasets.transforms.crops import Dims, check_size, cropped_dims, room
from abawfw.registry import TRANSFORMS
from abawfw.structures import VABatch


@TRANSFORMS.register_module()
class RandomCropFlip(BatchTransform):
    """Cut the same random piece out of all images of a clip, and mirror all of them or none.

    One place and one toss of a coin for each clip of a batch, so that a face does not jump from frame to
    frame (docs/tagf.md, Preprocessing). For training only: evaluation takes ``CentreCrop``.

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
        return cropped_dims('RandomCropFlip', input_dims, self.features or (), self.size)

    def __call__(self, inputs: dict[str, Tensor], batch: VABatch, generator: torch.Generator) -> None:
        """Crop the inputs, and mirror them in one clip of two."""
        for feature in self.features or ():
            x = inputs[feature]
            down, right = room('RandomCropFlip', feature, tuple(x.shape[2:]), self.size)
            rows, time, _, width, colours = x.shape
            top, left, flip = (
                torch.randint(0, n, (rows, 1), generator=generator, device=x.device)
                for n in (down + 1, right + 1, 2)
            )
            there = torch.arange(self.size, device=x.device)
            across = left + torch.where(flip.bool(), self.size - 1 - there, there)
            # by index and not by slices, whose ends would have to be known on the host
            pixels = ((top + there)[:, :, None] * width + across[:, None, :]).view(rows, 1, -1, 1)
            crops = x.flatten(2, 3).gather(2, pixels.expand(-1, time, -1, colours))
            inputs[feature] = crops.view(rows, time, self.size, self.size, colours)
