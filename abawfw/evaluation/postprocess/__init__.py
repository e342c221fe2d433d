"""What is done to a video's raw predictions: smoothing, gaps, calibration, and a search over them.

Steps are written in a config's ``postprocess``; a search takes them by name.
"""

from abawfw.evaluation.postprocess.affine_calibration import AffineCalibration
from abawfw.evaluation.postprocess.base import Postprocessor
from abawfw.evaluation.postprocess.gap_interpolation import GapInterpolation
from abawfw.evaluation.postprocess.pipeline import Pipeline
from abawfw.evaluation.postprocess.search import Tuned, candidates, tune
from abawfw.evaluation.postprocess.smoothing import (
    BinomialSmoothing,
    ExponentialSmoothing,
    GaussianSmoothing,
    MeanSmoothing,
    MedianSmoothing,
    ReplicatedSmoothing,
    SavitzkyGolaySmoothing,
)

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
