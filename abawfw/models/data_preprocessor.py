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

    def __init__(self) -> None:
        super().__init__(non_blocking=True)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Return ``inputs`` ``{modality: (batch, time, *dims)}`` on the device, and ``data_samples``."""
        return {'inputs': self.cast_data(data['inputs']), 'data_samples': data.get('data_samples')}
