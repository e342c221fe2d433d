"""What several raters say of the same videos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class VideoRatings(NamedTuple):
    """One target of one video as its raters see it.

    Attributes:
        raters: names.
        values: (raters, frames) float64, NaN where a rater says nothing.
        times: (frames,) seconds at which each frame is shown.
    """

    raters: tuple[str, ...]
    values: np.ndarray
    times: np.ndarray

    @property
    def common(self) -> np.ndarray:
        """Frames that every rater has rated, (frames,) bool."""
        return np.asarray(np.isfinite(self.values).all(axis=0))

    @property
    def rated(self) -> np.ndarray:
        """Frames that a rater or more has rated, (frames,) bool."""
        return np.asarray(np.isfinite(self.values).any(axis=0))

    def others_mean(self) -> np.ndarray:
        """For each rater the mean of the others, (raters, frames); NaN where one of them says nothing.

        The sum of all less one would leave rounding that varies where the others never do.
        """
        return np.stack([np.delete(self.values, i, axis=0).mean(axis=0) for i in range(len(self.raters))])


def raters_of(videos: Mapping[str, VideoRatings]) -> list[str]:
    """All raters, in the order in which they first come."""
    return list(dict.fromkeys(rater for video in videos.values() for rater in video.raters))


def mean_of_those(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Weighted mean at each frame over the raters who say something there.

    Args:
        values: (raters, frames), NaN where there is none.
        weights: (raters,), 0 or more; alike if not given.

    Returns:
        (frames,), NaN where the weights of those who say something sum to 0.
    """
    there = np.isfinite(values)
    weight = there * (np.ones(len(values)) if weights is None else weights)[:, None]
    total = weight.sum(axis=0)
    sums = (np.where(there, values, 0.0) * weight).sum(axis=0)
    return np.divide(sums, total, out=np.full(values.shape[1], np.nan), where=total > 0)
