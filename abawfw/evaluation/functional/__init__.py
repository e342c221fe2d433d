"""Pure functions of numpy arrays, in float64; every room may use them."""

from abawfw.evaluation.functional.affect_words import affect_words
from abawfw.evaluation.functional.autocorrelation import Autocorrelation
from abawfw.evaluation.functional.bounds import MeanCourse, moving_mean_bound, shift_bound, video_mean_bound
from abawfw.evaluation.functional.ccc import (
    Calibration,
    Moments,
    calibration,
    ccc,
    moments,
    mse,
    pcc,
    pcc_p_value,
    rmse,
)
from abawfw.evaluation.functional.ccc_centring import Centring, ccc_centring
from abawfw.evaluation.functional.conformal import ALPHA, FrameIntervals, frame_intervals
from abawfw.evaluation.functional.curves import CLIP_WEIGHTS, assemble, smooth, smooth_and_clip, stretches
from abawfw.evaluation.functional.rater_agreement import (
    Agreement,
    PanelAgreement,
    RaterAgreement,
    rater_agreement,
)
from abawfw.evaluation.functional.rater_delays import Delay, rater_delays
from abawfw.evaluation.functional.ratings import VideoRatings
from abawfw.evaluation.functional.resampling import (
    Difference,
    Interval,
    bootstrap_ccc,
    effective_number,
    interval_obstacle,
    paired_bootstrap,
    paired_permutation,
)

__all__ = [
    'ALPHA',
    'CLIP_WEIGHTS',
    'Agreement',
    'Autocorrelation',
    'Calibration',
    'Centring',
    'Delay',
    'Difference',
    'FrameIntervals',
    'Interval',
    'MeanCourse',
    'Moments',
    'PanelAgreement',
    'RaterAgreement',
    'VideoRatings',
    'affect_words',
    'assemble',
    'bootstrap_ccc',
    'calibration',
    'ccc',
    'ccc_centring',
    'effective_number',
    'frame_intervals',
    'interval_obstacle',
    'moments',
    'moving_mean_bound',
    'mse',
    'paired_bootstrap',
    'paired_permutation',
    'pcc',
    'pcc_p_value',
    'rater_agreement',
    'rater_delays',
    'rmse',
    'shift_bound',
    'smooth',
    'smooth_and_clip',
    'stretches',
    'video_mean_bound',
]
