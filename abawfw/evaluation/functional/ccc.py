"""How well predictions agree with labels.

All take ``true`` (frames,), NaN where there is no label, and ``pred`` (frames,); frames without a label are
left out. Moments are biased (divided by the number of frames). Source: docs/rucaim3.md, Inference.
"""

from __future__ import annotations

from typing import Any

from abawfw.evaluation.functional.moments import moments


def ccc(true: Any, pred: Any, unbiased: bool = False) -> float:
    """Concordance correlation coefficient, 2 cov / (var + var + (difference of means)^2).

    It is 0 where labels or predictions are constant, also where both are the same constant: the quotient is
    0/0 then, and a sequence without variation holds no evidence of agreement that a mean over videos should
    reward.

    Args:
        true: labels.
        pred: predictions.
        unbiased: divide the variances, but not the covariance, by one frame less, as TAGF and its family do
            (docs/tagf.md, Evaluation and output): perfect predictions of n frames then have a CCC of
            (n - 1) / n.

    Raises:
        DataError: lengths differ, no frame has a label, or a prediction is not finite.

    >>> ccc([0.0, 1.0, 2.0], [0.0, 1.0, 2.0])
    1.0
    >>> ccc([0.5, 0.5], [0.5, 0.5])
    0.0
    """
    of = moments(true, pred)
    return of.ccc_unbiased if unbiased else of.ccc


def pcc(true: Any, pred: Any) -> float:
    """Pearson correlation coefficient, 0 where labels or predictions are constant. Raises as ``ccc``."""
    return moments(true, pred).pcc


def mse(true: Any, pred: Any) -> float:
    """Mean squared error. Raises as ``ccc``."""
    return moments(true, pred).mse


def rmse(true: Any, pred: Any) -> float:
    """Root of the mean squared error. Raises as ``ccc``."""
    return moments(true, pred).rmse
