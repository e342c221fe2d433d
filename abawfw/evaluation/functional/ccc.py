"""Sufficient statistics of labels and predictions: all that scores and calibration need of a video."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from abawfw.errors import DataError, counted

# A sequence counts as constant when its standard deviation is at most this fraction of its mean: the rounding
# of the mean of equal numbers leaves about 1e-16 of it.
CONSTANT = 1e-12


@dataclass(frozen=True)
class Moments:
    """Labels against predictions: count, means, and sums of squares and products about the means.

    The sums are centred, so that merging many videos loses no digits. Predictions are those of one run, or of
    several at once, whose sums of products among one another then give the CCC of every weighted mean of
    them. The other statistic of frames, `RunningMoments`, is of one array alone, element by element: products
    of the thousands of elements of a feature among one another would not fit memory.

    Attributes:
        n: labelled frames.
        mean_true: mean label.
        mean_pred: mean prediction; of several runs (runs,).
        square_true: sum of squares of the labels.
        square_pred: sum of squares of the predictions; of several runs (runs, runs), of their products.
        product: sum of products of labels and predictions; of several runs (runs,).
        squared_error: sum of squares of prediction less label, not about its mean; of several runs
            (runs, runs), of products of their errors.
    """

    n: int = 0
    mean_true: float = 0.0
    mean_pred: Any = 0.0
    square_true: float = 0.0
    square_pred: Any = 0.0
    product: Any = 0.0
    squared_error: Any = 0.0

    def merge(self, other: Moments) -> Moments:
        """The statistics of both sets of frames together."""
        if not self.n or not other.n:
            return self if self.n else other
        n = self.n + other.n
        d_true, d_pred = other.mean_true - self.mean_true, other.mean_pred - self.mean_pred
        between = self.n * other.n / n
        return Moments(
            n=n,
            mean_true=self.mean_true + d_true * other.n / n,
            mean_pred=self.mean_pred + d_pred * other.n / n,
            square_true=self.square_true + other.square_true + d_true * d_true * between,
            square_pred=self.square_pred + other.square_pred + np.multiply.outer(d_pred, d_pred) * between,
            product=self.product + other.product + d_true * d_pred * between,
            squared_error=self.squared_error + other.squared_error,
        )

    @staticmethod
    def pool(parts: Iterable[Moments]) -> Moments:
        """The statistics of all frames of all ``parts``."""
        total = Moments()
        for part in parts:
            total = total.merge(part)
        return total

    def _required(self) -> Moments:
        if not self.n:
            raise DataError('no frame has a label: there is nothing to measure')
        return self

    @property
    def constant(self) -> bool:
        """Whether labels or predictions do not vary, which makes CCC and PCC 0 by definition here."""
        m = self._required()
        return bool(
            is_constant(m.mean_true, m.square_true / m.n) or is_constant(m.mean_pred, m.square_pred / m.n)
        )

    @property
    def ccc(self) -> float:
        """Concordance correlation coefficient; see ``abawfw.evaluation.functional.ccc.ccc``."""
        m = self._required()
        args = m.mean_true, m.mean_pred, m.square_true / m.n, m.square_pred / m.n, m.product / m.n
        return _bounded(concordance(*args))

    @property
    def own_ccc(self) -> float | None:
        """CCC of a video on its own, where it is defined: None without a label, or where nothing varies."""
        return None if not self.n or self.constant else self.ccc

    @property
    def pcc(self) -> float:
        """Pearson correlation coefficient, 0 where labels or predictions are constant."""
        if self.constant:
            return 0.0
        return _bounded(self.product / np.sqrt(self.square_true) / np.sqrt(self.square_pred))

    @property
    def mse(self) -> float:
        """Mean squared error."""
        return float(self._required().squared_error / self.n)

    @property
    def rmse(self) -> float:
        """Root of the mean squared error."""
        return float(np.sqrt(self.mse))


def _bounded(correlation: Any) -> float:
    """Within -1 and 1, which rounding may pass where agreement is perfect."""
    return max(min(float(correlation), 1.0), -1.0)


def moments(true: Any, pred: Any) -> Moments:
    """Statistics of the frames that have a label.

    Args:
        true: labels, (frames,), NaN where there is none; such frames are omitted.
        pred: predictions, (frames,), or of several runs (runs, frames).

    Raises:
        DataError: the lengths differ, or a frame with a label has no finite prediction.

    >>> m = moments([0.0, 1.0, 2.0, np.nan], [0.0, 1.0, 1.0, 5.0])
    >>> m.n, round(m.ccc, 4)
    (3, 0.6667)
    """
    true, pred = np.asarray(true, dtype=np.float64), np.asarray(pred, dtype=np.float64)
    if true.ndim != 1 or pred.ndim not in (1, 2) or pred.shape[-1:] != true.shape:
        raise DataError(
            f'labels of shape {true.shape} and predictions of shape {pred.shape}: both must be (frames,)'
        )
    labelled = ~np.isnan(true)
    if not labelled.all():
        true, pred = true[labelled], pred[..., labelled]
    for name, values in (('predictions', pred), ('labels', true)):
        if not np.isfinite(values).all():
            bad = np.flatnonzero(~np.isfinite(np.atleast_2d(values)).all(axis=0))
            frame = np.flatnonzero(labelled)[bad[0]]
            raise DataError(f'{name} are not finite in {counted(len(bad), "frame")}, first in frame {frame}')
    if not len(true):
        if pred.ndim == 1:
            return Moments()
        of_runs, of_pairs = np.zeros(len(pred)), np.zeros((len(pred), len(pred)))
        return Moments(0, 0.0, of_runs, 0.0, of_pairs, of_runs, of_pairs)
    mean_true, mean_pred = true.sum() / len(true), pred.sum(axis=-1) / len(true)
    d_true, d_pred, error = true - mean_true, pred - mean_pred[..., None], pred - true
    sums = mean_pred, d_pred @ d_pred.T, d_pred @ d_true, error @ error.T
    mean_pred, square_pred, product, squared_error = sums if pred.ndim == 2 else map(float, sums)
    return Moments(
        len(true), float(mean_true), mean_pred, float(d_true @ d_true), square_pred, product, squared_error
    )


def is_constant(mean: Any, variance: Any) -> Any:
    """The one rule of what counts as constant, elementwise."""
    return variance <= np.square(CONSTANT * mean)


def concordance(mean_true: Any, mean_pred: Any, var_true: Any, var_pred: Any, covariance: Any) -> np.ndarray:
    """CCC from biased moments, elementwise; 0 where labels or predictions are constant."""
    constant = is_constant(mean_true, var_true) | is_constant(mean_pred, var_pred)
    spread = var_true + var_pred + np.square(mean_true - mean_pred)
    return np.where(constant, 0.0, 2 * covariance / np.where(constant, 1.0, spread))


def ccc(true: Any, pred: Any) -> float:
    """Concordance correlation coefficient, 2 cov / (var + var + (difference of means)^2).

    It is 0 where labels or predictions are constant, also where both are the same constant: the quotient is
    0/0 then, and a sequence without variation holds no evidence of agreement that a mean over videos should
    reward.

    Args:
        true: labels.
        pred: predictions.

    Raises:
        DataError: lengths differ, no frame has a label, or a prediction is not finite.

    >>> ccc([0.0, 1.0, 2.0], [0.0, 1.0, 2.0])
    1.0
    >>> ccc([0.5, 0.5], [0.5, 0.5])
    0.0
    """
    return moments(true, pred).ccc


def pcc(true: Any, pred: Any) -> float:
    """Pearson correlation coefficient, 0 where labels or predictions are constant. Raises as ``ccc``.

    >>> round(pcc([0.0, 1.0, 2.0], [1.0, 3.0, 5.0]), 6)
    1.0
    """
    return moments(true, pred).pcc


def mse(true: Any, pred: Any) -> float:
    """Mean squared error. Raises as ``ccc``."""
    return moments(true, pred).mse


def rmse(true: Any, pred: Any) -> float:
    """Root of the mean squared error. Raises as ``ccc``.

    >>> rmse([0.0, 1.0], [5.0, 6.0])
    5.0
    """
    return moments(true, pred).rmse


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
    ccc = 0.0 if m.constant else _bounded(2 * slope * m.product / spread)
    return Calibration(slope, m.mean_true - slope * m.mean_pred, m.mean_pred - m.mean_true, ccc)


def pcc_p_value(pcc: float, n: int) -> float:
    """Two-sided p-value of a Pearson correlation, as for pairs of independent normal values.

    Args:
        pcc: the correlation coefficient.
        n: pairs it was computed from; fewer than 3 are no evidence, and the value is 1.

    >>> round(pcc_p_value(0.5, 3), 4)
    0.6667
    """
    from scipy.special import betainc  # here: importing this room must stay light

    # a correlation from elsewhere may be rounded to more than 1
    return float(betainc(n / 2 - 1, 0.5, max(0.0, 1 - pcc * pcc))) if n >= 3 else 1.0
