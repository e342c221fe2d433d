"""Annotators lag behind what they see."""

from __future__ import annotations

from typing import Any

import numpy as np

from abawfw.components import WholeNumber
from abawfw.errors import ConfigError
from abawfw.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ShiftLabels:
    """Give frame i the label of frame i + ``frames`` (`time_delay` of TAGF; docs/tagf.md, Data).

    Args:
        frames: by how many frames annotators lag.
        within: 'video': labels beyond the clip come from the store, and the last label of the video is
            repeated at its end. 'window': as the reference does, the last label of every clip is repeated at
            the end of the clip, although the video continues.

    Raises:
        ConfigError: a negative lag, another ``within``, or a clip that was padded before.
    """

    changes_values = False

    def __init__(self, frames: WholeNumber, within: str = 'video') -> None:
        if frames < 0:
            raise ConfigError(
                f'ShiftLabels(frames={frames}): labels lag behind the video, by 0 frames or more'
            )
        if within not in ('video', 'window'):
            raise ConfigError(f"ShiftLabels(within={within!r}): there are 'video' and 'window'")
        self.frames = frames
        self.within = within

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace gt_va."""
        video, clip = results['video'], results['clip']
        length = clip.stop - clip.start
        if len(results['gt_va']) != length:
            raise ConfigError(
                f'ShiftLabels: the clip of {length} frames was padded to {len(results["gt_va"])} before; put '
                'PadTo after it in the pipeline'
            )
        if self.within == 'window':
            later = np.minimum(np.arange(length) + self.frames, length - 1)
            results['gt_va'] = results['gt_va'][later]
            return results
        last = video.num_frames - 1
        start = min(clip.start + self.frames, last)
        stop = min(clip.stop + self.frames, video.num_frames)
        labels = results['store'].labels(video.video_id, start, stop)
        missing = length - len(labels)
        results['gt_va'] = np.concatenate([labels, np.repeat(labels[-1:], missing, axis=0)])
        return results
