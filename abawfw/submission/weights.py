"""How much each run of an ensemble counts, from statistics of its validation predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import Moments

RULES = ('mean', 'centred', 'ccc', 'fit')
FITTED = ('ccc', 'fit')  # those that look at labels of videos which all runs have predicted


class RunMoments:
    """All that the CCC of any weighted mean of runs needs of a set of frames.

    Attributes:
        n: labelled frames.
        mean: (runs + 1,), of the runs' predictions and, last, of the labels.
        product: (runs + 1, runs + 1), sums of products about the means.
    """

    def __init__(self, n: int, mean: np.ndarray, product: np.ndarray) -> None:
        self.n, self.mean, self.product = n, mean, product

    @classmethod
    def of(cls, label: np.ndarray, preds: Sequence[np.ndarray]) -> RunMoments:
        """Statistics of one video: labels (frames,), NaN where there is none, and each run's predictions."""
        values = np.stack([*preds, label])[:, ~np.isnan(label)]
        n = values.shape[1]
        mean = values.mean(axis=1) if n else np.zeros(len(values))
        centred = values - mean[:, None]
        return cls(n, mean, centred @ centred.T)

    @classmethod
    def pool(cls, parts: Sequence[RunMoments]) -> RunMoments:
        """Statistics of all frames of all ``parts`` (at least one)."""
        count = np.array([part.n for part in parts], dtype=np.float64)
        means = np.stack([part.mean for part in parts])
        mean = count @ means / max(count.sum(), 1.0)
        away = means - mean
        product = sum(part.product for part in parts) + (away * count[:, None]).T @ away
        return cls(int(count.sum()), mean, product)

    def ccc(self, weights: np.ndarray) -> float:
        """CCC of the weighted mean of the runs; 0 where it, or the label, is constant."""
        return self.weighted(weights).ccc

    def weighted(self, weights: np.ndarray) -> Moments:
        """Statistics of labels and of the weighted mean of the runs."""
        runs = self.product[:-1, :-1]
        mean_pred, square_pred = weights @ self.mean[:-1], weights @ runs @ weights
        product, square_true = weights @ self.product[:-1, -1], self.product[-1, -1]
        error = square_pred + square_true - 2 * product + self.n * (mean_pred - self.mean[-1]) ** 2
        return Moments(
            n=self.n,
            mean_true=float(self.mean[-1]),
            mean_pred=float(mean_pred),
            square_true=float(square_true),
            square_pred=float(max(square_pred, 0.0)),
            product=float(product),
            squared_error=float(max(error, 0.0)),
        )


def find_weights(rule: str, statistics: RunMoments) -> np.ndarray:
    """Weights of the runs, (runs,), none negative, summing to 1.

    Args:
        rule: 'mean' and 'centred' (all equal), 'ccc' (in proportion to the validation CCC, 0 where that is
            negative) or 'fit' (those with the highest CCC on these frames).
        statistics: of the frames to decide on.

    Raises:
        ConfigError: unknown rule.
        DataError: rule 'ccc' where no run has a positive CCC.
    """
    runs = len(statistics.mean) - 1
    if rule not in RULES:
        raise ConfigError(f'no rule {rule!r} for weights; there are {", ".join(RULES)}')
    if rule not in FITTED or runs == 1:
        return np.full(runs, 1 / runs)
    if rule == 'fit':
        return _fit(statistics)
    ccc = np.array([max(statistics.ccc(one), 0.0) for one in np.eye(runs)])
    if not ccc.any():
        raise DataError(
            'no run has a positive CCC on the validation frames, so none can be weighted by it; '
            'use the weights "mean"'
        )
    return ccc / ccc.sum()


def _fit(statistics: RunMoments) -> np.ndarray:
    """Maximise the CCC over the simplex; it has local maxima, so start in its middle and at each corner."""
    from scipy.optimize import LinearConstraint, minimize

    def cost(weights: np.ndarray) -> float:
        return 1 - statistics.ccc(weights)

    runs = len(statistics.mean) - 1
    best = np.full(runs, 1 / runs)
    for start in [best, *np.eye(runs)]:
        found = minimize(
            cost,
            start,
            method='SLSQP',
            bounds=[(0.0, 1.0)] * runs,
            constraints=LinearConstraint(np.ones((1, runs)), 1.0, 1.0),
            tol=1e-10,
        ).x
        found = np.clip(found, 0.0, None)
        found /= found.sum()
        best = max(best, start, found, key=statistics.ccc)
    return best


def cross_validate(rule: str, videos: Sequence[RunMoments], folds: int = 5) -> float | None:
    """CCC over all frames where the weights of every video were found without it.

    Videos go to folds in turn. A rule that finds no weights without a fold leaves that fold's runs equal.

    Returns:
        The pooled CCC; None for fewer than two labelled videos.
    """
    videos = [v for v in videos if v.n]
    if len(videos) < 2:
        return None
    folds = min(folds, len(videos))
    parts = []
    for fold in range(folds):
        kept = [v for i, v in enumerate(videos) if i % folds != fold]
        try:
            weights = find_weights(rule, RunMoments.pool(kept))
        except DataError:
            weights = find_weights('mean', RunMoments.pool(kept))
        parts += [v.weighted(weights) for i, v in enumerate(videos) if i % folds == fold]
    return Moments.pool(parts).ccc
