"""The end of every pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from abawfw.registry import TRANSFORMS
from abawfw.structures import VADataSample


@TRANSFORMS.register_module()
class PackVA:
    """Make tensors, and a ``VADataSample`` that tells where they come from.

    Returns inputs {feature: (time, *dims) float32} and data_sample with gt_va (time, 2) and valid (time,).
    """

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Inputs and data sample; the rest of the results ends here."""
        video, clip, request = results['video'], results['clip'], results['request']
        sample = VADataSample(
            metainfo={
                'video_id': video.video_id,
                'start': clip.start,
                'num_frames': clip.stop - clip.start,
                'video_length': video.num_frames,
                'lane': request.lane,
                'starts_video': clip.position == 0,
            }
        )
        sample.gt_va = _tensor(results['gt_va'])
        sample.valid = torch.from_numpy(results['valid'])
        inputs = {feature: _tensor(values) for feature, values in results['inputs'].items()}
        return {'inputs': inputs, 'data_sample': sample}


def _tensor(values: np.ndarray) -> Tensor:
    # A store may hand out a view of a file that is open for reading only, which torch does not take.
    # order='C' also makes a plain array of a memory map.
    return torch.from_numpy(np.require(values, dtype=np.float32, requirements=['C', 'W']))
