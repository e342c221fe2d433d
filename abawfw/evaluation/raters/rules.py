"""The rules that make one label of several ratings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from abawfw.components import Positive
from abawfw.errors import DataError
from abawfw.evaluation.functional import Moments, VideoRatings, ccc_centring, moments, rater_delays
from abawfw.evaluation.functional.rater_delays import BOUND, at_other_times
from abawfw.evaluation.functional.ratings import mean_of_those
from abawfw.evaluation.raters.base import FusedRatings, RaterFusion, fractions
from abawfw.registry import RATER_FUSIONS


@RATER_FUSIONS.register_module()
class RaterMean(RaterFusion):
    """Mean over the raters at each frame."""

    def __call__(self, videos: Mapping[str, VideoRatings]) -> FusedRatings:
        """See the base class."""
        return FusedRatings({name: mean_of_those(video.values) for name, video in videos.items()}, {})


@RATER_FUSIONS.register_module()
class RaterMedian(RaterFusion):
    """Median over the raters at each frame: one who errs alone moves it little; it can jump."""

    def __call__(self, videos: Mapping[str, VideoRatings]) -> FusedRatings:
        """See the base class."""
        labels = {name: np.full(len(video.times), np.nan) for name, video in videos.items()}
        for name, video in videos.items():
            labels[name][video.rated] = np.nanmedian(video.values[:, video.rated], axis=0)
        return FusedRatings(labels, {})


WEIGHED = (
    'the level of each video only; the course of the label is the plain mean (EvaluatorWeightedMean plays a '
    'rater who disagrees down)'
)


@RATER_FUSIONS.register_module()
class CCCCentredMean(RaterFusion):
    """Mean over the raters, each first shifted to one level per video, which agreement in CCC weighs.

    Means and agreement are those of the frames that all raters of a video have rated; what leaves [-1, 1] is
    put back. Only the level is weighed: in the course of the label a rater who disagrees counts like any
    other, for which ``EvaluatorWeightedMean`` is the rule. The weights reported are the mean of the
    agreements over the videos that the rater rated with others. Source: the centring of TAGF's code
    (docs/tagf.md).
    """

    def __call__(self, videos: Mapping[str, VideoRatings]) -> FusedRatings:
        """See the base class.

        Raises:
            DataError: a video has no frame that all of its raters have rated.
        """
        labels = {}
        found: dict[str, list[float]] = {}
        for name, video in videos.items():
            common = video.values[:, video.common]
            if not common.size:
                raise DataError(
                    f'{name}: no frame is rated by all of {", ".join(video.raters)}: they cannot be brought '
                    'to one level; choose another --fusion, or remove a rater of this video'
                )
            centred = ccc_centring(common)
            shifted = video.values + (centred.level - common.mean(axis=1))[:, None]
            labels[name] = np.clip(mean_of_those(shifted), -1.0, 1.0)
            if len(video.raters) > 1:
                for rater, agreement in zip(video.raters, centred.agreement, strict=True):
                    found.setdefault(rater, []).append(float(agreement))
        weights = fractions({rater: float(np.mean(of)) for rater, of in found.items()})
        return FusedRatings(labels, weights, WEIGHED)


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
