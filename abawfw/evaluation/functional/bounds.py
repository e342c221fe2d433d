"""What predictions reach that know only so much of the labels.

Lower bounds know training labels alone, and a model must beat them: a constant, which has a CCC of 0, and
``MeanCourse``. Upper bounds know labels of the very videos they are measured on: no model knows these, so
none has failed that stays below.

All take the labels of one video, (frames,), NaN where there is none, and give the statistics of the labels
against what is made of them. Those of many videos are pooled (``Moments.pool``), as everywhere else: one CCC
over all frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional.ccc import Moments, moments
from abawfw.evaluation.functional.curves import smooth, stretches


class MeanCourse:
    """The mean over training videos as a function of time: of frame t, the mean of their labels at frame t.

    It knows when in a video something is, and nothing of the video. Frames that no training video labels have
    the mean of all labelled frames.
    """

    def __init__(self) -> None:
        self._sums = np.zeros((2, 0))  # of labels, and of labelled frames, by frame

    def add(self, labels: Any) -> None:
        """Add a training video."""
        labels = _checked(labels)
        if (more := len(labels) - self._sums.shape[1]) > 0:
            self._sums = np.pad(self._sums, ((0, 0), (0, more)))
        known = ~np.isnan(labels)
        self._sums[:, : len(labels)] += np.where(known, labels, 0.0), known

    def against(self, labels: Any) -> Moments | None:
        """Labels of another video against the course; None if no training frame has a label."""
        labels = _checked(labels)
        totals = self._sums.sum(axis=1)
        if not totals[1]:
            return None
        course = np.full(len(labels), totals[0] / totals[1])
        sums, counts = self._sums[:, : len(labels)]
        np.divide(sums, counts, out=course[: len(sums)], where=counts > 0)
        return moments(labels, course)


def video_mean_bound(labels: Any) -> Moments:
    """Labels against their own mean: a prediction that is right about each video, and still within it.

    An upper bound for whatever distinguishes videos but not their course.

    With a fraction b of the variance between videos, the CCC over all of them is 2 b / (1 + b).
    """
    labels = _checked(labels)
    labelled = ~np.isnan(labels)
    return moments(labels, np.full(len(labels), labels[labelled].mean())) if labelled.any() else Moments()


def moving_mean_bound(labels: Any, window: int) -> Moments:
    """Labels against their centred moving mean: a prediction that misses whatever is fast.

    Each labelled stretch is smoothed on its own (``smooth``, kernel ``mean``), so that no mean reaches over
    frames without a label; at its ends the frames that exist are averaged.

    Args:
        labels: of one video.
        window: frames on one side, 0 or more.
    """
    labels = _checked(labels)
    smoothed = np.full(len(labels), np.nan)
    for start, stop in stretches(~np.isnan(labels)):
        smoothed[start:stop] = smooth(labels[start:stop], window)
    return moments(labels, smoothed)


def shift_bound(labels: Any, shift: int) -> Moments:
    """Labels against those ``shift`` frames away: a prediction that is perfect but late, or early.

    Only frames count that have a label and whose shifted frame exists and has one. CCC is the same in both
    directions, for the same pairs are compared.

    Args:
        labels: of one video.
        shift: frames, 0 or more.

    Raises:
        ConfigError: a shift that is no whole number from 0 on.
    """
    if int(shift) != shift or shift < 0:
        raise ConfigError(f'shift of labels {shift!r}: it must be a whole number of frames, 0 or more')
    labels = _checked(labels)
    later, earlier = labels[int(shift) :], labels[: max(len(labels) - int(shift), 0)]
    both = ~np.isnan(later) & ~np.isnan(earlier)
    return moments(later[both], earlier[both])


def _checked(labels: Any) -> np.ndarray:
    labels = np.asarray(labels, dtype=np.float64)
    if labels.ndim != 1:
        raise DataError(f'labels of shape {labels.shape}: they must be (frames,), one target of one video')
    return labels
