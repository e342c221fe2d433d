"""The weights with the highest CCC."""

from __future__ import annotations

import numpy as np

from abawfw.submission.run_moments import RunMoments

NOTHING = 1e-9  # weights below are what the solver leaves of none


def fit_weights(statistics: RunMoments) -> np.ndarray:
    """Maximise the CCC over all weights that are not negative and sum to 1.

    The CCC is twice a covariance, linear in the weights, over a convex quadratic form that is positive: where
    it is positive it is quasi-concave, so climbing from the best run ends at the highest point there is.

    Args:
        statistics: with a run of positive CCC.

    Returns:
        Weights, (runs,).
    """
    from scipy.optimize import LinearConstraint, minimize

    n, runs = statistics.n, statistics.runs
    squares = statistics.product[:-1, :-1] / n
    covariance = statistics.product[:-1, -1] / n
    mean_pred, mean_true = statistics.mean[:-1], statistics.mean[-1]
    square_true = statistics.product[-1, -1] / n

    def cost(weights: np.ndarray) -> tuple[float, np.ndarray]:
        """1 - CCC and its gradient."""
        away = mean_pred @ weights - mean_true
        spread = weights @ squares @ weights + square_true + away**2
        value = 2 * covariance @ weights / spread
        slope = 2 * (squares @ weights + away * mean_pred)
        return 1 - value, (value * slope - 2 * covariance) / spread

    start = np.eye(runs)[int(np.argmax(statistics.ccc(np.eye(runs))))]
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
    return max(start, found, key=statistics.ccc)
