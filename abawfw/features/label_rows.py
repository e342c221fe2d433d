"""Rows of an annotation and the frames of its video."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import DataError, counted

TOLERANCE = 2
"""Rows that may be too many or too few: off by one is the normal case (docs/challenge.md)."""


def match_rows(labels: NDArray, num_frames: int, what: str) -> tuple[NDArray[np.float32], str | None]:
    """Give each frame the row of its number.

    No row ever moves: rows beyond the last frame are left out, and last frames without a row have no label.

    Args:
        labels: (rows, 2), NaN where there is no valid label; row k belongs to frame k.
        num_frames: frames of the video.
        what: named in messages.

    Returns:
        (num_frames, 2) float32, and what was done about another number of rows, None if nothing.

    Raises:
        DataError: more than `TOLERANCE` rows too many or too few.
    """
    difference = len(labels) - num_frames
    lengths = f'{what}: {len(labels)} rows for {num_frames} frames'
    if abs(difference) > TOLERANCE:
        raise DataError(
            f'{lengths}, more than {TOLERANCE} apart; is it the annotation of this video, and is the video '
            'whole? One that is re-encoded must keep every frame: ffmpeg -i OLD -fps_mode passthrough NEW.mp4'
        )
    rows = np.full((num_frames, 2), np.nan, np.float32)
    rows[: len(labels)] = labels[:num_frames]
    if not difference:
        return rows, None
    if difference > 0:
        return rows, f'{lengths}: the last {difference} left out'
    return rows, f'{lengths}: no label for the last {counted(-difference, "frame")}'
