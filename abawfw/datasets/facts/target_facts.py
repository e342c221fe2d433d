"""What is known of one target over all videos of a partition."""

from __future__ import annotations

import numpy as np

from abawfw.evaluation.functional import (
    Autocorrelation,
    Moments,
    moving_mean_bound,
    shift_bound,
    video_mean_bound,
)
from abawfw.evaluation.functional.moments import CONSTANT

WINDOWS = (5, 10, 25, 50, 100, 200, 400)
"""One-sided windows of the moving mean, in frames."""

SHIFTS = (5, 10, 20, 30, 45, 60)
"""Frames by which labels are shifted."""


class TargetFacts:
    """Sums over the videos that were added; nothing grows with their number.

    Attributes:
        constant: labels against the mean of their video, pooled.
        moving_mean: labels against their moving mean, pooled, by window.
        shift: labels against shifted labels, pooled, by shift.
        course: labels against the mean over the training videos at each frame, pooled.
        autocorrelation: of the labels.
    """

    def __init__(self) -> None:
        self.constant = Moments()
        self.moving_mean = dict.fromkeys(WINDOWS, Moments())
        self.shift = dict.fromkeys(SHIFTS, Moments())
        self.course = Moments()
        self.autocorrelation = Autocorrelation()

    def add(self, labels: np.ndarray) -> None:
        """Add a video by its labels, (frames,), NaN where there is none."""
        labels = labels.astype(np.float64)
        self.constant = self.constant.merge(video_mean_bound(labels))
        for window, pooled in self.moving_mean.items():
            self.moving_mean[window] = pooled.merge(moving_mean_bound(labels, window))
        for shift, pooled in self.shift.items():
            self.shift[shift] = pooled.merge(shift_bound(labels, shift))
        self.autocorrelation.add(labels)

    @property
    def mean(self) -> float:
        """Mean of all labelled frames; there must be one."""
        return self.constant.mean_true

    @property
    def std(self) -> float:
        """Population standard deviation of the labelled frames, exactly 0 if all are equal."""
        std = float(np.sqrt(self.constant.square_true / self.constant.n))
        return 0.0 if std <= CONSTANT * abs(self.mean) else std

    @property
    def between(self) -> float | None:
        """Share of the variance that is between the means of videos; None where nothing varies."""
        return self.constant.square_pred / self.constant.square_true if self.std else None
