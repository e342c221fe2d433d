"""Greedy selection of runs."""

from __future__ import annotations

import numpy as np

from abawfw.submission.run_moments import RunMoments

# Weights are shares of the draws. Beyond a hundred, a draw moves none by more than a per cent, less than the
# videos of a validation set can tell.
MOST_DRAWS = 100
ROUNDING = 1e-9  # smaller differences of a CCC are none, so that of equal runs the first is taken


def greedy_weights(statistics: RunMoments) -> np.ndarray:
    """Forward selection with replacement (Caruana et al. 2004, Ensemble selection from libraries of models).

    The best run is drawn first; then, again and again, the run with which the CCC of the mean of all draws is
    highest, until none raises it. Of equal runs the first is drawn. The second draw makes halves, so a run
    that would only help with less is not taken: coarse weights follow chance less than fitted ones.

    Args:
        statistics: of the frames to decide on.

    Returns:
        Weights, (runs,): how often each was drawn, over the number of draws.
    """
    counts, best = np.zeros(statistics.runs), -np.inf
    for draws in range(1, MOST_DRAWS + 1):
        ccc = statistics.ccc((counts + np.eye(statistics.runs)) / draws)
        first = int(np.argmax(ccc >= ccc.max() - ROUNDING))
        if ccc[first] <= best + ROUNDING:
            break
        counts[first] += 1
        best = ccc[first]
    return counts / counts.sum()
