"""How much each run of an ensemble counts, from statistics of its validation predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import Moments
from abawfw.submission.fit import fit_weights
from abawfw.submission.greedy import greedy_weights
from abawfw.submission.run_moments import RunMoments

RULES = {
    'mean': 'all alike',
    'centred': 'all alike, brought to one mean per video first, in which runs count by CCC with the others',
    'ccc': 'in proportion to the CCC on val, 0 where that is negative',
    'fit': 'those with the highest CCC on val',
    'greedy': 'shares of draws: the best run, then whichever raises the CCC on val most, until none does',
}
FITTED = ('ccc', 'fit', 'greedy')  # those that look at labels of videos which all runs have predicted


def check_rule(rule: str) -> None:
    """Raise a ConfigError for an unknown rule."""
    if rule not in RULES:
        raise ConfigError(f'no rule {rule!r} for weights; there are {", ".join(RULES)}')


def find_weights(rule: str, statistics: RunMoments) -> np.ndarray:
    """Weights of the runs, (runs,), none negative, summing to 1.

    Args:
        rule: see ``RULES``.
        statistics: of the frames to decide on.

    Raises:
        ConfigError: unknown rule.
        DataError: the rule looks at labels, there are several runs, and none has a positive CCC: no mean of
            them has one then.
    """
    check_rule(rule)
    runs = statistics.runs
    if rule not in FITTED or runs == 1:
        return np.full(runs, 1 / runs)
    ccc = np.maximum(statistics.ccc(np.eye(runs)), 0.0)
    if not ccc.any():
        raise DataError(
            'no run has a positive CCC on the validation frames, so none can be weighted by it; '
            'use the weights "mean"'
        )
    if rule == 'ccc':
        return ccc / ccc.sum()
    return fit_weights(statistics) if rule == 'fit' else greedy_weights(statistics)


def cross_validate(rule: str, units: Sequence[RunMoments], folds: int = 5) -> float | None:
    """CCC over all frames where the weights of every unit, a video or a group of them, were found without it.

    Units go to folds in turn. A rule that finds no weights without a fold leaves that fold's runs equal.

    Returns:
        The pooled CCC; None for fewer than two labelled units.
    """
    units = [u for u in units if u.n]
    if len(units) < 2:
        return None
    folds = min(folds, len(units))
    parts = []
    for fold in range(folds):
        kept = [u for i, u in enumerate(units) if i % folds != fold]
        try:
            weights = find_weights(rule, RunMoments.pool(kept))
        except DataError:
            weights = find_weights('mean', RunMoments.pool(kept))
        parts += [u.weighted(weights) for i, u in enumerate(units) if i % folds == fold]
    return Moments.pool(parts).ccc
