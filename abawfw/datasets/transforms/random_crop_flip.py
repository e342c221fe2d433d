"""Another crop of every image in each epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from abawfw.datasets.transforms.batch_transform import BatchTransform
from abawfw.datasets.transforms.crops import Crop
from abawfw.registry import TRANSFORMS
from abawfw.structures import VABatch


@TRANSFORMS.register_module()
class RandomCropFlip(Crop, BatchTransform):
    """Cut the same random piece out of all images of a clip, and mirror all of them or none.

    One place and one toss of a coin for each clip of a batch, so that a face does not jump from frame to
    frame (docs/tagf.md, Preprocessing). For training only: evaluation takes ``CentreCrop``.

    Args:
        features: names of the image features, (time, height, width, colours); their type stays.
        size: height and width of the crop, in pixels.

    Raises:
        ConfigError: images smaller than the crop, or a feature without images.
    """

    def __call__(self, inputs: dict[str, Tensor], batch: VABatch, generator: torch.Generator) -> None:
        """Crop the inputs, and mirror them in one clip of two."""
        for feature in self.features or ():
            x = inputs[feature]
            down, right = self.room(feature, tuple(x.shape[2:]))
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
