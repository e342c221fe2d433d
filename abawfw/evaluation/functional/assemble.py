"""From the predictions of clips to those of a video."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from abawfw.errors import DataError


def assemble(entries: Iterable[tuple[int, np.ndarray]], num_frames: int, video_id: str) -> np.ndarray:
    """Mean over the clips that cover a frame.

    Args:
        entries: first frame of a clip and its values, (clip frames, columns); clips may overlap.
        num_frames: length of the video.
        video_id: for messages.

    Returns:
        (num_frames, columns), float64.

    Raises:
        DataError: a clip reaches beyond the video, or a frame is covered by none.

    >>> assemble([(0, np.array([[1.0], [1.0]])), (1, np.array([[3.0], [3.0]]))], 3, 'v').ravel()
    array([1., 2., 3.])
    """
    total: np.ndarray | None = None
    count = np.zeros(num_frames, dtype=np.int64)
    for start, values in entries:
        stop = start + len(values)
        if start < 0 or stop > num_frames:
            raise DataError(
                f'video {video_id}: a clip covers frames {start} to {stop - 1}, but there are {num_frames}'
            )
        if total is None:
            total = np.zeros((num_frames, *values.shape[1:]))
        total[start:stop] += values
        count[start:stop] += 1
    missing = np.flatnonzero(count == 0)
    if total is None or len(missing):
        first = f'first frame {missing[0]}' if len(missing) else 'it has no frame'
        raise DataError(
            f'video {video_id}: {len(missing)} of {num_frames} frames are covered by no clip, {first}'
        )
    return total / count.reshape(-1, *[1] * (total.ndim - 1))
