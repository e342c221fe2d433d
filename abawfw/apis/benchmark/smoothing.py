"""Smoothing against the running sum it is made of."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from abawfw.apis.benchmark.timing import Spread, in_turn, seconds
from abawfw.evaluation.functional import smooth

WINDOWS = (5, 50, 500)


def benchmark_smoothing(rounds: int, frames: int = 1_000_000) -> dict[str, Any]:
    """Time the mean kernel at several one-sided windows.

    Returns:
        ``frames``, ``cumsum_ms`` and per window ``ms`` and ``times_cumsum``, how often ``np.cumsum`` of the
        same array fits in.
    """
    x = np.random.default_rng(0).uniform(-1, 1, frames)
    actions = {'cumsum': partial(seconds, lambda: np.cumsum(x))}
    actions |= {str(w): partial(seconds, partial(smooth, x, w)) for w in WINDOWS}
    in_turn(actions, 1)  # the first call pays for memory that the later ones find ready
    took = in_turn(actions, rounds)
    return {
        'frames': frames,
        'cumsum_ms': Spread.of([1e3 * s for s in took['cumsum']]),
        'windows': {
            str(w): {
                'ms': Spread.of([1e3 * s for s in took[str(w)]]),
                'times_cumsum': Spread.of_ratios(took[str(w)], took['cumsum']),
            }
            for w in WINDOWS
        },
    }
