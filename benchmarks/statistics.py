"""Intervals, comparisons and selections of runs, from arrays of predictions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from abawfw.evaluation.functional import Moments, bootstrap_ccc, moments, paired_bootstrap, smooth
from abawfw.submission.contribution import ValGroup, group_contributions
from abawfw.submission.weights import greedy_weights
from benchmarks.timing import Spread, in_turn, seconds

VIDEOS, FRAMES = 76, 384_000  # about those of Aff-Wild2's validation set
REPLICATES = 10_000
RUNS = 50


def benchmark_statistics(rounds: int) -> dict[str, Any]:
    """Time what is computed on the predictions of a validation set.

    Returns:
        ``videos``, ``frames``, ``replicates``, ``sum_ms``, ``np.sum`` over the labels and predictions of one
        run; for ``bootstrap`` and ``paired_bootstrap`` (two runs), statistics of the arrays included,
        ``seconds`` and ``times_sum``, how often that fits in. For ``greedy``: ``runs``, ``arrays_seconds``,
        from arrays to statistics of all runs, ``selection_ms`` from there to weights, and
        ``contributions_seconds`` to what each run adds, cross-validated.
    """
    labels, runs = _predictions()
    first, second = runs[:2]

    def statistics(run: dict[str, np.ndarray]) -> list[Moments]:
        return [moments(label, run[video]) for video, label in labels.items()]

    def add_up() -> float:
        return sum(float(np.sum(label) + np.sum(first[video])) for video, label in labels.items())

    def bootstrap() -> None:
        bootstrap_ccc(statistics(first), REPLICATES)

    def paired() -> None:
        paired_bootstrap(statistics(first), statistics(second), replicates=REPLICATES)

    group = ValGroup.of(labels, runs)
    names, weights = [str(run) for run in range(RUNS)], greedy_weights(group.pooled)
    actions: dict[str, Callable[[], object]] = {
        'sum': add_up,
        'bootstrap': bootstrap,
        'paired_bootstrap': paired,
        'arrays': partial(ValGroup.of, labels, runs),
        'selection': partial(greedy_weights, group.pooled),
        'contributions': partial(group_contributions, 'greedy', group, names, weights),
    }
    timed = {name: partial(seconds, action) for name, action in actions.items()}
    in_turn(timed, 1)  # the first call pays for memory that the later ones find ready
    took = in_turn(timed, rounds)
    return {
        'videos': VIDEOS,
        'frames': FRAMES,
        'replicates': REPLICATES,
        'sum_ms': Spread.of([1e3 * s for s in took['sum']]),
        **{
            name: {'seconds': Spread.of(took[name]), 'times_sum': Spread.of_ratios(took[name], took['sum'])}
            for name in ('bootstrap', 'paired_bootstrap')
        },
        'greedy': {
            'runs': RUNS,
            'arrays_seconds': Spread.of(took['arrays']),
            'selection_ms': Spread.of([1e3 * s for s in took['selection']]),
            'contributions_seconds': Spread.of(took['contributions']),
        },
    }


def _predictions() -> tuple[dict[str, np.ndarray], list[dict[str, np.ndarray]]]:
    """Labels of videos of unequal lengths, and runs that err apart, so that many are drawn."""
    rng = np.random.default_rng(0)
    lengths = rng.multinomial(FRAMES, rng.dirichlet(np.full(VIDEOS, 2.0)))
    labels = {f'v{i}': rng.uniform(-1, 1, n) for i, n in enumerate(lengths)}
    runs = [
        {video: 0.5 * label + rng.normal(0, noise, len(label)) for video, label in labels.items()}
        for noise in np.linspace(0.4, 0.8, RUNS)
    ]
    return labels, runs


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
