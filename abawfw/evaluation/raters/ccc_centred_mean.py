"""The mean of the raters after each was brought to a common level."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from abawfw.errors import DataError
from abawfw.evaluation.functional import VideoRatings, ccc_centring
from abawfw.evaluation.functional.ratings import mean_of_those
from abawfw.evaluation.raters.base import FusedRatings, RaterFusion, fractions
from abawfw.registry import RATER_FUSIONS

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
