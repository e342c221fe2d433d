"""Fewer frames of a curve, with all of its peaks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST_BUCKET = 32_767
"""Kept frames are then less than 65,536 apart: differences of positions fit two bytes."""


def decimate(values: Any, bucket: int) -> NDArray[np.int64]:
    """Which frames of a curve to keep: the lowest and highest of every bucket, the first and the last.

    A bucket without any value, all NaN, keeps one frame, so that a gap stays a gap; gaps that are shorter
    than that are bridged.

    Args:
        values: (frames,), NaN where there is none.
        bucket: frames of a bucket, at most 32,767; the last one may be shorter. 1 or 2 keep all frames.

    Returns:
        Rising positions, at most two per bucket and two more; all frames of a curve that has no more.

    >>> decimate([0.0, 0.1, 0.9, 0.2, 0.1, 0.3, -0.7, 0.2, 0.0, 0.0], 5)
    array([0, 2, 5, 6, 9])
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    buckets = -(-n // bucket)
    if n <= 2 * buckets + 2:
        return np.arange(n)
    known = np.isfinite(values)
    lowest, highest = np.full((2, buckets * bucket), np.nan)
    lowest[:n], highest[:n] = np.where(known, values, np.inf), np.where(known, values, -np.inf)
    lowest[n:], highest[n:] = np.inf, -np.inf
    starts = np.arange(buckets) * bucket
    low = starts + lowest.reshape(buckets, bucket).argmin(axis=1)
    high = starts + highest.reshape(buckets, bucket).argmax(axis=1)
    return np.unique(np.concatenate([[0], low, high, [n - 1]]))
