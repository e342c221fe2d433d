"""Pure functions of numpy arrays, in float64; every room may use them."""

from abawfw.evaluation.functional.assemble import assemble
from abawfw.evaluation.functional.autocorrelation import Autocorrelation
from abawfw.evaluation.functional.bootstrap import bootstrap_ccc, interval_obstacle
from abawfw.evaluation.functional.calibration import Calibration, calibration
from abawfw.evaluation.functional.ccc import ccc, mse, pcc, rmse
from abawfw.evaluation.functional.ceilings import constant_ceiling, moving_mean_ceiling, shift_ceiling
from abawfw.evaluation.functional.corrections import holm
from abawfw.evaluation.functional.moments import Moments, moments
from abawfw.evaluation.functional.paired_bootstrap import Difference, paired_bootstrap
from abawfw.evaluation.functional.permutation import paired_permutation
from abawfw.evaluation.functional.significance import pcc_p_value
from abawfw.evaluation.functional.smoothing import smooth, smooth_and_clip
from abawfw.evaluation.functional.stretches import stretches

__all__ = [
    'Autocorrelation',
    'Calibration',
    'Difference',
    'Moments',
    'assemble',
    'bootstrap_ccc',
    'calibration',
    'ccc',
    'constant_ceiling',
    'holm',
    'interval_obstacle',
    'moments',
    'moving_mean_ceiling',
    'mse',
    'paired_bootstrap',
    'paired_permutation',
    'pcc',
    'pcc_p_value',
    'rmse',
    'shift_ceiling',
    'smooth',
    'smooth_and_clip',
    'stretches',
]
