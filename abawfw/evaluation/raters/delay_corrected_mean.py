"""The mean of the raters after each was moved by its delay."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from abawfw.components import Positive
from abawfw.evaluation.functional import VideoRatings, rater_delays
from abawfw.evaluation.functional.rater_delays import BOUND, at_other_times
from abawfw.evaluation.functional.ratings import mean_of_those
from abawfw.evaluation.raters.base import FusedRatings, RaterFusion
from abawfw.registry import RATER_FUSIONS


@RATER_FUSIONS.register_module()
class DelayCorrectedMean(RaterFusion):
    """Mean over the raters, each moved in time by its delay to the median of all.

    Who has no clear delay is not moved. What all raters share stays: ``ShiftLabels`` is for that.

    Args:
        bound: seconds, the largest delay that is looked for.
    """

    def __init__(self, bound: Positive = BOUND) -> None:
        self.bound = bound

    def __call__(self, videos: Mapping[str, VideoRatings]) -> FusedRatings:
        """See the base class."""
        delays = {r: d.seconds or 0.0 for r, d in rater_delays(videos, self.bound, units=()).items()}
        labels = {}
        for name, video in videos.items():
            moved = [
                at_other_times(values, video.times, video.times + delays.get(rater, 0.0))
                for rater, values in zip(video.raters, video.values, strict=True)
            ]
            labels[name] = mean_of_those(np.stack(moved))
        return FusedRatings(labels, {})
