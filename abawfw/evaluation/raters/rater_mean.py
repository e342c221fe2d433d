"""The mean of the raters."""

from __future__ import annotations

from collections.abc import Mapping

from abawfw.evaluation.functional import VideoRatings
from abawfw.evaluation.functional.ratings import mean_of_those
from abawfw.evaluation.raters.base import FusedRatings, RaterFusion
from abawfw.registry import RATER_FUSIONS


@RATER_FUSIONS.register_module()
class RaterMean(RaterFusion):
    """Mean over the raters at each frame."""

    def __call__(self, videos: Mapping[str, VideoRatings]) -> FusedRatings:
        """See the base class."""
        return FusedRatings({name: mean_of_those(video.values) for name, video in videos.items()}, {})
