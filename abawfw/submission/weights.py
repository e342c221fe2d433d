"""Weights of the runs of an ensemble, found from the statistics of all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import Moments
from abawfw.evaluation.functional.ccc import concordance

# Weights are fractions of the draws. Beyond a hundred, a draw moves none by more than a per cent, less than
# the videos of a validation set can show.
MOST_DRAWS = 100
ROUNDING = 1e-9  # smaller differences of a CCC are none, so that of equal runs the first is taken


def ccc_of_means(statistics: Moments, weights: np.ndarray) -> np.ndarray:
    """CCC of weighted means of runs, (...); 0 where one, or the label, is constant.

    Args:
        statistics: of several runs.
        weights: (..., runs).
    """
    n = max(statistics.n, 1)
    return concordance(
        statistics.mean_true,
        weights @ statistics.mean_pred,
        statistics.square_true / n,
        np.maximum(np.sum(weights @ statistics.square_pred * weights, axis=-1), 0.0) / n,
        weights @ statistics.product / n,
    )


def mean_moments(statistics: Moments, weights: np.ndarray) -> Moments:
    """Statistics of labels and of the weighted mean of runs; weights, (runs,), sum to 1."""
    return replace(
        statistics,
        mean_pred=float(weights @ statistics.mean_pred),
        square_pred=float(max(weights @ statistics.square_pred @ weights, 0.0)),
        product=float(weights @ statistics.product),
        squared_error=float(max(weights @ statistics.squared_error @ weights, 0.0)),
    )


def greedy_weights(statistics: Moments) -> np.ndarray:
    """Forward selection with replacement (Caruana et al. 2004, Ensemble selection from libraries of models).

    The best run is drawn first; then, again and again, the run with which the CCC of the mean of all draws is
    highest, until none raises it. Of equal runs the first is drawn. The second draw makes halves, so a run
    that would only help with less is not taken: coarse weights follow chance less than fitted ones.

    Args:
        statistics: of all runs, of the frames to decide on.

    Returns:
        Weights, (runs,): how often each was drawn, over the number of draws.
    """
    runs = len(statistics.mean_pred)
    counts, best = np.zeros(runs), -np.inf
    for draws in range(1, MOST_DRAWS + 1):
        ccc = ccc_of_means(statistics, (counts + np.eye(runs)) / draws)
        first = int(np.argmax(ccc >= ccc.max() - ROUNDING))
        if ccc[first] <= best + ROUNDING:
            break
        counts[first] += 1
        best = ccc[first]
    return counts / counts.sum()


NOTHING = 1e-9  # weights below are what the solver leaves of none


def fit_weights(statistics: Moments) -> np.ndarray:
    """Maximise the CCC over all weights that are not negative and sum to 1.

    The CCC is twice a covariance, linear in the weights, over a convex quadratic form that is positive: where
    it is positive it is quasi-concave, so climbing from the best run ends at the highest point there is.

    Args:
        statistics: of all runs, one of them with a positive CCC.

    Returns:
        Weights, (runs,).
    """
    from scipy.optimize import LinearConstraint, minimize

    n, mean_pred, mean_true = statistics.n, statistics.mean_pred, statistics.mean_true
    squares, covariance, square_true = (
        statistics.square_pred / n,
        statistics.product / n,
        statistics.square_true / n,
    )
    runs = len(mean_pred)

    def cost(weights: np.ndarray) -> tuple[float, np.ndarray]:
        """1 - CCC and its gradient."""
        away = mean_pred @ weights - mean_true
        spread = weights @ squares @ weights + square_true + away**2
        value = 2 * covariance @ weights / spread
        slope = 2 * (squares @ weights + away * mean_pred)
        return 1 - value, (value * slope - 2 * covariance) / spread

    start = np.eye(runs)[int(np.argmax(ccc_of_means(statistics, np.eye(runs))))]
    found = minimize(
        cost,
        start,
        jac=True,
        method='SLSQP',
        bounds=[(0.0, 1.0)] * runs,
        constraints=LinearConstraint(np.ones((1, runs)), 1.0, 1.0),
        tol=1e-12,
        options={'maxiter': 1000},
    ).x
    found[found < NOTHING] = 0.0
    found /= found.sum()
    return max(start, found, key=lambda weights: ccc_of_means(statistics, weights))


RULES = {
    'mean': 'all alike',
    'centred': 'all alike, brought to one mean per video first, in which runs count by CCC with the others',
    'ccc': 'in proportion to the CCC on val, 0 where that is negative',
    'fit': 'those with the highest CCC on val',
    'greedy': 'fractions of draws: the best run, then whichever raises the CCC on val most, until none does',
}
FITTED = ('ccc', 'fit', 'greedy')  # those that look at labels of videos which all runs have predicted


def check_rule(rule: str) -> None:
    """Raise a ConfigError for an unknown rule."""
    if rule not in RULES:
        raise ConfigError(f'no rule {rule!r} for weights; there are {", ".join(RULES)}')


def find_weights(rule: str, statistics: Moments) -> np.ndarray:
    """Weights of the runs, (runs,), none negative, summing to 1.

    Args:
        rule: see ``RULES``.
        statistics: of all runs, of the frames to decide on.

    Raises:
        ConfigError: unknown rule.
        DataError: the rule looks at labels, there are several runs, and none has a positive CCC: no mean of
            them has one then.
    """
    check_rule(rule)
    runs = len(statistics.mean_pred)
    if rule not in FITTED or runs == 1:
        return np.full(runs, 1 / runs)
    ccc = np.maximum(ccc_of_means(statistics, np.eye(runs)), 0.0)
    if not ccc.any():
        raise DataError(
            'no run has a positive CCC on the validation frames, so none can be weighted by it; '
            'use the weights "mean"'
        )
    if rule == 'ccc':
        return ccc / ccc.sum()
    return fit_weights(statistics) if rule == 'fit' else greedy_weights(statistics)


FOLDS = 5


def cross_validated_ccc(rule: str, units: Sequence[Moments]) -> float | None:
    """CCC over all frames where the weights of every unit, a video or a group of them, were found without it.

    A rule that finds no weights without a fold leaves that fold's runs equal.

    Returns:
        The pooled CCC; None for fewer than two labelled units.
    """
    parts = []
    for kept, held_out in folds_of(units):
        known = Moments.pool(units[i] for i in kept)
        try:
            weights = find_weights(rule, known)
        except DataError:
            weights = find_weights('mean', known)
        parts += [mean_moments(units[i], weights) for i in held_out]
    return Moments.pool(parts).ccc if parts else None


def folds_of(units: Sequence[Moments]) -> list[tuple[list[int], list[int]]]:
    """Where labelled units stand, parted into folds, to which they go in turn.

    Returns:
        Of each fold the units that something is chosen on, and those it is measured on; none for fewer than
        two labelled units.
    """
    labelled = [i for i, unit in enumerate(units) if unit.n]
    if len(labelled) < 2:
        return []
    folds = min(FOLDS, len(labelled))
    parted = [labelled[fold::folds] for fold in range(folds)]
    return [([i for i in labelled if i not in held_out], held_out) for held_out in parted]
