"""Ratings of one thing brought to one level, each with its course."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from abawfw.errors import DataError
from abawfw.evaluation.functional.ccc import concordance


class Centring(NamedTuple):
    """Agreement of each rater, (raters,); the common level; the centred ratings, (raters, frames)."""

    agreement: np.ndarray
    level: float
    centred: np.ndarray


def ccc_centring(ratings: Any) -> Centring:
    """Give every rater's sequence the same mean, and keep its course.

    A rater's agreement is the mean CCC with each of the others (biased covariance, variances divided by
    frames - 1, as in the reference). The common level is the mean of the raters' means, weighted by their
    agreement. The mean of the centred ratings over the raters is their gold standard.

    Where the reference divides by nothing or by a sum of opposite signs, we differ: a rater who disagrees
    with the others does not count for the level, and where none agree, or there is one rater, all count
    alike.

    Args:
        ratings: (raters, frames), finite.

    Raises:
        DataError: another shape, or a rating that is not finite.
    """
    data = np.asarray(ratings, dtype=np.float64)
    if data.ndim != 2 or not data.size or not np.isfinite(data).all():
        raise DataError(
            f'ratings of shape {data.shape}: they must be (raters, frames), finite, with a value or more'
        )
    raters, frames = data.shape
    means = data.mean(axis=1)
    away = data - means[:, None]
    products = away @ away.T
    variances = products.diagonal() / max(frames - 1, 1)
    ccc = concordance(means[:, None], means, variances[:, None], variances, products / frames)
    agreement = (ccc.sum(axis=1) - ccc.diagonal()) / max(raters - 1, 1)
    weights = np.maximum(agreement, 0.0)
    if not weights.any():
        weights = np.ones(raters)
    level = float(weights @ means / weights.sum())
    return Centring(agreement, level, away + level)
