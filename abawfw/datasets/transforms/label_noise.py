"""Labels that annotators gave with some error."""

from __future__ import annotations

import torch
from torch import Tensor

from abawfw.components import NonNegative
from abawfw.datasets.transforms.batch_transform import BatchTransform
from abawfw.errors import ConfigError
from abawfw.registry import TRANSFORMS
from abawfw.structures import VABatch


@TRANSFORMS.register_module()
class LabelNoise(BatchTransform):
    """Add normal noise of mean 0 to labels, clipped to [-1, 1]. For training only.

    Every frame and target has its own. Frames without label stay without, padding too. The figures of the
    training partition are taken against these labels, so that they come out lower.

    Args:
        std: standard deviation of the noise, in units of the labels.

    Raises:
        ConfigError: a negative standard deviation.
    """

    def __init__(self, std: NonNegative) -> None:
        if not std >= 0:
            raise ConfigError(f'LabelNoise(std={std}): a standard deviation is 0 or more')
        self.std = std
        self.features = []  # it acts on labels alone

    def __call__(self, inputs: dict[str, Tensor], batch: VABatch, generator: torch.Generator) -> None:
        """Add noise to the labels of a batch."""
        labels = batch.gt_va
        noise = torch.randn(labels.shape, generator=generator, device=labels.device)
        # NaN, where there is no label, stays NaN
        batch.gt_va = noise.mul_(self.std).add_(labels).clamp_(-1, 1)
