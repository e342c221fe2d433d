"""What becomes of several raters' curves: one label per frame, by rules that can be chosen by name."""

from abawfw.evaluation.raters.base import FusedRatings, RaterFusion
from abawfw.evaluation.raters.ccc_centred_mean import CCCCentredMean
from abawfw.evaluation.raters.delay_corrected_mean import DelayCorrectedMean
from abawfw.evaluation.raters.evaluator_weighted_mean import EvaluatorWeightedMean
from abawfw.evaluation.raters.rater_mean import RaterMean
from abawfw.evaluation.raters.rater_median import RaterMedian

__all__ = [
    'CCCCentredMean',
    'DelayCorrectedMean',
    'EvaluatorWeightedMean',
    'FusedRatings',
    'RaterFusion',
    'RaterMean',
    'RaterMedian',
]
