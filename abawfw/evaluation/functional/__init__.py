"""Pure functions of numpy arrays, in float64; every room may use them."""

from abawfw.evaluation.functional.assemble import assemble
from abawfw.evaluation.functional.bootstrap import bootstrap_ccc
from abawfw.evaluation.functional.ccc import ccc, mse, pcc, rmse
from abawfw.evaluation.functional.moments import Moments, moments
from abawfw.evaluation.functional.significance import pcc_p_value
from abawfw.evaluation.functional.smoothing import smooth, smooth_and_clip
from abawfw.evaluation.functional.window_search import WindowSearch, window_search

__all__ = [
    'Moments',
    'WindowSearch',
    'assemble',
    'bootstrap_ccc',
    'ccc',
    'moments',
    'mse',
    'pcc',
    'pcc_p_value',
    'rmse',
    'smooth',
    'smooth_and_clip',
    'window_search',
]
