"""How far mean and spread of predictions are from those of the labels, and what that costs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from abawfw.evaluation.functional.ccc import Moments


class Calibration(NamedTuple):
    """The map ``slope * prediction + intercept`` to the mean and the standard deviation of the labels.

    Attributes:
        slope: standard deviation of the labels over that of the predictions; below 1 predictions vary too
            much, above 1 too little.
        intercept: what then brings the means together.
        bias: mean of the predictions less that of the labels, as they are.
        ccc: after the map. Where the PCC is positive it equals that, and no affine map gives more.
    """

    slope: float
    intercept: float
    bias: float
    ccc: float


def calibration(m: Moments) -> Calibration:
    """The calibration of these frames.

    Where predictions do not rise with the labels, a slope could only stretch what is wrong, or turn it over:
    it stays 1, and the map brings the means together.

    Source: Lin 1989, CCC = PCC times a factor that is 1 where means and variances agree.

    Raises:
        DataError: no frame has a label.

    >>> from abawfw.evaluation.functional import moments
    >>> found = calibration(moments([0.0, 1.0, 2.0], [0.0, 0.5, 1.0]))
    >>> found.slope, found.intercept, found.bias, found.ccc
    (2.0, 0.0, -0.5, 1.0)
    """
    rises = not m.constant and m.product > 0
    slope = float(np.sqrt(m.square_true / m.square_pred)) if rises else 1.0
    spread = m.square_true + slope**2 * m.square_pred
    ccc = 0.0 if m.constant else 2 * slope * m.product / spread
    return Calibration(slope, m.mean_true - slope * m.mean_pred, m.mean_pred - m.mean_true, ccc)
