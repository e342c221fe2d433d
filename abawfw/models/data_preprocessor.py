"""From the data loader to the model's device."""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseDataPreprocessor

from abawfw.registry import MODELS


@MODELS.register_module()
class VADataPreprocessor(BaseDataPreprocessor):
    """Move the inputs of a batch to the model's device; the data samples stay where they are.

    The estimator stacks the labels of a batch and moves them in one piece, which is cheaper than moving
    each sample.
    """

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Return ``inputs`` ``{modality: (batch, time, *dims)}`` on the device, and ``data_samples``."""
        device = self.device
        inputs = {name: x.to(device, non_blocking=True) for name, x in data['inputs'].items()}
        return {'inputs': inputs, 'data_samples': data.get('data_samples')}
