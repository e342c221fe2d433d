"""From the data loader to the model's device."""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseDataPreprocessor

from abawfw.registry import MODELS


@MODELS.register_module()
class VADataPreprocessor(BaseDataPreprocessor):
    """Move a batch to the model's device, once: what is handed in holds the moved tensors afterwards."""

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Return ``inputs`` ``{modality: (batch, time, *dims)}`` and ``data_samples`` on the device."""
        device = self.device
        samples = data.get('data_samples')
        moved = {
            'inputs': {name: x.to(device, non_blocking=True) for name, x in data['inputs'].items()},
            'data_samples': None if samples is None else samples.to(device, non_blocking=True),
        }
        data.update(moved)
        return moved
