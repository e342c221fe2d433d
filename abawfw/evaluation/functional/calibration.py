"""How far mean and spread of predictions are from those of the labels, and what that costs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from abawfw.evaluation.functional.moments import Moments


class Calibration(NamedTuple):
    """The map ``slope * prediction + intercept`` that gives predictions the labels' mean and deviation.

    Attributes:
        slope: standard deviation of the labels over that of the predictions; below 1 predictions vary too
            much, above 1 too little.
        intercept: what then brings the means together.
        bias: mean of the predictions less that of the labels, as they are.
        ccc: after the map; no map with a positive slope gives more, and it equals the PCC.
    """

    slope: float
    intercept: float
    bias: float
    ccc: float


def calibration(m: Moments) -> Calibration:
    """The calibration of these frames; predictions that do not vary keep their slope of 1.

    Source: Lin 1989, CCC = PCC times a factor that is 1 where means and variances agree.

    Raises:
        DataError: no frame has a label.
    """
    slope = 1.0 if m.constant else float(np.sqrt(m.square_true / m.square_pred))
    return Calibration(slope, m.mean_true - slope * m.mean_pred, m.mean_pred - m.mean_true, m.pcc)
