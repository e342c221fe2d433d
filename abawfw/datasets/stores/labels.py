"""Labels as they lie on disk -> labels as everything above a store sees them."""

from __future__ import annotations

import numpy as np

from abawfw.conventions import NO_LABEL, TARGETS
from abawfw.errors import DataError, counted


def clean_labels(raw: np.ndarray, video_id: str, start: int = 0) -> np.ndarray:
    """Replace what is no valid label by NaN and refuse what cannot be a label.

    Args:
        raw: labels on disk, (frames, 2), columns valence and arousal.
        video_id: named in errors.
        start: index of the first row in its video, for errors.

    Returns:
        (frames, 2) float32; NaN in both columns where either is -5 or NaN on disk.

    Raises:
        DataError: a value outside [-1, 1] that is not -5.
    """
    raw = np.asarray(raw)
    bad = ~missing_labels(raw) & ~(np.abs(raw) <= 1)
    if bad.any():
        frame, column = np.argwhere(bad)[0]
        raise DataError(
            # str gives as many digits as tell the value from 1
            f'video {video_id!r}, frame {start + frame}: {TARGETS[column]} is {raw[frame, column]!s}, '
            f'which is outside [-1, 1] and not {NO_LABEL:g} (no label), as in '
            f'{int(bad.any(axis=1).sum())} of the '
            f'{counted(len(raw), "frame")} read. Scale the annotation to [-1, 1], with {NO_LABEL:g} where '
            'there is none'
        )
    labels = raw.astype(np.float32)
    labels[unlabelled_frames(raw)] = np.nan
    return labels


def unlabelled_frames(raw: np.ndarray) -> np.ndarray:
    """Frames, (frames,) bool, of labels (frames, 2) of which a column is -5 or NaN."""
    return np.asarray(missing_labels(raw).any(axis=1))


def half_labelled(raw: np.ndarray) -> str | None:
    """How many frames of labels on disk (frames, 2) have only one of the two; None if none has.

    The other label of such a frame is not used.
    """
    missing = missing_labels(raw)
    half = missing[:, 0] != missing[:, 1]
    if not half.any():
        return None
    return (
        f'{counted(int(half.sum()), "frame")} with only one of valence and arousal used for neither, '
        f'first {int(half.argmax())}'
    )


def missing_labels(raw: np.ndarray) -> np.ndarray:
    """Labels on disk, (frames, 2) bool, that are -5 or NaN."""
    return np.asarray((raw == NO_LABEL) | np.isnan(raw))
