"""The mean of the raters, weighted by how well each goes with it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from abawfw.evaluation.functional import Moments, VideoRatings, moments
from abawfw.evaluation.functional.ratings import mean_of_those
from abawfw.evaluation.raters.base import FusedRatings, RaterFusion, fractions
from abawfw.registry import RATER_FUSIONS


@RATER_FUSIONS.register_module()
class EvaluatorWeightedMean(RaterFusion):
    """Evaluator-weighted estimator: mean over the raters, each weighted by correlation with the plain mean.

    A weight is the Pearson correlation of a rater with the mean of all raters, over all frames of all videos
    that all of their raters, two or more, have rated; a negative one counts as 0. A rater of whom such frames
    say nothing counts like the mean of the others. Source: Grimm and Kroschel 2005, Evaluation of natural
    emotions using self assessment manikins, ASRU.
    """

    def __call__(self, videos: Mapping[str, VideoRatings]) -> FusedRatings:
        """See the base class."""
        parts: dict[str, list[Moments]] = {}
        for video in videos.values():
            if len(video.raters) < 2:
                continue  # the mean is that rater, and correlates with it whatever it says
            common = video.values[:, video.common]
            for rater, values in zip(video.raters, common, strict=True):
                parts.setdefault(rater, []).append(moments(common.mean(axis=0), values))
        pooled = {rater: Moments.pool(of) for rater, of in parts.items()}
        weights = fractions({rater: m.pcc for rater, m in pooled.items() if m.n})
        unknown = 1 / max(len(weights), 1)
        labels = {}
        for name, video in videos.items():
            of_video = fractions({rater: weights.get(rater, unknown) for rater in video.raters})
            labels[name] = mean_of_those(video.values, np.array([*of_video.values()]))
        return FusedRatings(labels, weights)
