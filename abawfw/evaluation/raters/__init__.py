"""What becomes of several raters' curves: one label per frame, by rules that can be chosen by name."""

from abawfw.evaluation.raters.base import FusedRatings, RaterFusion
from abawfw.evaluation.raters.rules import (
    CCCCentredMean,
    DelayCorrectedMean,
    EvaluatorWeightedMean,
    RaterMean,
    RaterMedian,
)

__all__ = [
    'CCCCentredMean',
    'DelayCorrectedMean',
    'EvaluatorWeightedMean',
    'FusedRatings',
    'RaterFusion',
    'RaterMean',
    'RaterMedian',
]
