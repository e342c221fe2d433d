"""The median of the raters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from abawfw.evaluation.functional import VideoRatings
from abawfw.evaluation.raters.base import FusedRatings, RaterFusion
from abawfw.registry import RATER_FUSIONS


@RATER_FUSIONS.register_module()
class RaterMedian(RaterFusion):
    """Median over the raters at each frame: one who errs alone moves it little; it can jump."""

    def __call__(self, videos: Mapping[str, VideoRatings]) -> FusedRatings:
        """See the base class."""
        labels = {name: np.full(len(video.times), np.nan) for name, video in videos.items()}
        for name, video in videos.items():
            labels[name][video.rated] = np.nanmedian(video.values[:, video.rated], axis=0)
        return FusedRatings(labels, {})
