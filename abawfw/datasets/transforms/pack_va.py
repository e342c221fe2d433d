"""The end of every pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from abawfw.registry import TRANSFORMS
from abawfw.structures import VAClip


@TRANSFORMS.register_module()
class PackVA:
    """Make tensors, and a ``VAClip`` that says where they come from.

    Returns inputs {feature: (time, *dims)}, zero where not observed, and data_sample with gt_va (time, 2),
    teacher_va (time, 2) where there is a teacher, valid (time,) and observed (time, features). Inputs are
    float32; pixels (uint8) and float16 stay as they are, to be converted on the model's device.
    """

    changes_values = False

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Inputs and data sample; the rest of the results ends here."""
        video, clip, request = results['video'], results['clip'], results['request']
        observed = results['observed']
        sample = VAClip(
            video_id=video.video_id,
            start=clip.start,
            num_frames=clip.stop - clip.start,
            video_length=video.num_frames,
            lane=request.lane,
            starts_video=clip.position == 0,
            gt_va=_tensor(results['gt_va']),
            valid=torch.from_numpy(results['valid']),
            observed=torch.from_numpy(np.stack([observed[f] for f in results['inputs']], axis=1)),
            teacher_va=_tensor(results['teacher_va']) if 'teacher_va' in results else None,
        )
        inputs = {f: _tensor(values) for f, values in results['inputs'].items()}
        for feature, values in inputs.items():
            if not observed[feature].all():
                inputs[feature] = values.clone()  # those of a store in memory are the caller's
                inputs[feature][torch.from_numpy(~observed[feature])] = 0
        return {'inputs': inputs, 'data_sample': sample}


def _tensor(values: np.ndarray) -> Tensor:
    # A store may hand out a view of a file that is open for reading only, which torch does not take.
    # order='C' also makes a plain array of a memory map.
    dtype = values.dtype if values.dtype in (np.uint8, np.float16) else np.float32
    return torch.from_numpy(np.require(values, dtype=dtype, requirements=['C', 'W']))
