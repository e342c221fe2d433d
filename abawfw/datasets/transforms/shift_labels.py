"""Annotators lag behind what they see."""

from __future__ import annotations

from typing import Any

import numpy as np

from abawfw.errors import ConfigError
from abawfw.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ShiftLabels:
    """Give frame i the label of frame i + ``frames`` of its video (time_delay of spec/tagf.md).

    The last label of the video is repeated at its end. Labels beyond the clip come from the store.

    Args:
        frames: by how many frames annotators lag.

    Raises:
        ConfigError: a negative lag.
    """

    def __init__(self, frames: int) -> None:
        if frames < 0:
            raise ConfigError(
                f'ShiftLabels(frames={frames}): labels lag behind the video, by 0 frames or more'
            )
        self.frames = frames

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace gt_va."""
        video, clip = results['video'], results['clip']
        last = video.num_frames - 1
        start = min(clip.start + self.frames, last)
        stop = min(clip.stop + self.frames, video.num_frames)
        labels = results['store'].labels(video.video_id, start, stop)
        missing = clip.stop - clip.start - len(labels)
        results['gt_va'] = np.concatenate([labels, np.repeat(labels[-1:], missing, axis=0)])
        return results
