"""What is done to a video's raw predictions: smoothing, gaps, calibration, and a search over them.

Steps are written in a config's ``postprocess``; a search takes them by name.
"""

from abawfw.evaluation.postprocess.affine_calibration import AffineCalibration
from abawfw.evaluation.postprocess.base import Postprocessor
from abawfw.evaluation.postprocess.binomial_smoothing import BinomialSmoothing
from abawfw.evaluation.postprocess.exponential_smoothing import ExponentialSmoothing
from abawfw.evaluation.postprocess.gap_interpolation import GapInterpolation
from abawfw.evaluation.postprocess.gaussian_smoothing import GaussianSmoothing
from abawfw.evaluation.postprocess.mean_smoothing import MeanSmoothing
from abawfw.evaluation.postprocess.median_smoothing import MedianSmoothing
from abawfw.evaluation.postprocess.pipeline import Pipeline
from abawfw.evaluation.postprocess.replicated_smoothing import ReplicatedSmoothing
from abawfw.evaluation.postprocess.savitzky_golay_smoothing import SavitzkyGolaySmoothing
from abawfw.evaluation.postprocess.search import Tuned, candidates, tune

__all__ = [
    'AffineCalibration',
    'BinomialSmoothing',
    'ExponentialSmoothing',
    'GapInterpolation',
    'GaussianSmoothing',
    'MeanSmoothing',
    'MedianSmoothing',
    'Pipeline',
    'Postprocessor',
    'ReplicatedSmoothing',
    'SavitzkyGolaySmoothing',
    'Tuned',
    'candidates',
    'tune',
]
