"""Draws of videos, each measured in its own standard error.

Frames of a video depend on one another, so videos are drawn, never frames; and whole groups of videos where
these depend on one another. The standard error of a draw comes from the influence of each video on the
statistic (infinitesimal jackknife). Percentile and BCa intervals cover too little here, since few long videos
carry much of the weight.

Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 12 and 21; Hall 1988 on
symmetric intervals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

# Where 95 % of the draws lie within 1.96 of their own standard errors there are videos in plenty. Where it
# takes more than 5, these errors are so uncertain that an interval is more of an accident than a
# measurement.
MOST_ERRORS = 5.0
BLOCK = 1 << 22  # numbers of an array at a time: what fits the cache is faster, and memory stays small

# weights (draws, videos) -> the statistic of each draw, and the influence of each video on it
Statistic: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class Studentised(NamedTuple):
    """What draws of videos tell of a statistic.

    Attributes:
        value: of all videos.
        error: its standard error.
        ratios: (draws,), how many errors of its own a draw is away from ``value``; infinite where it has
            none.
    """

    value: float
    error: float
    ratios: np.ndarray

    def obstacle(self, unit: str) -> str | None:
        """Why intervals and p-values of these draws are not usable, in words; None where they are.

        Args:
            unit: what was drawn, 'video' or 'group'.
        """
        errors = self.quantile(0.95)
        if errors <= MOST_ERRORS:
            return None
        return (
            f'the {unit}s differ so much that the standard error itself is uncertain: 95 % of the draws lie '
            f'within {errors:.1f} of their own standard errors, where 2 are usual and {MOST_ERRORS:.0f} the '
            'most for an interval'
        )

    def quantile(self, level: float) -> float:
        """That ratio which as many draws exceed as make a p-value of 1 - level.

        Infinite where there are too few draws for the level.
        """
        rank = int((len(self.ratios) + 1) * level)
        return float(np.partition(self.ratios, rank)[rank]) if rank < len(self.ratios) else np.inf

    def p_value(self, distance: float) -> float:
        """How likely a draw is at least ``distance`` away, as the statistic is from what is asked."""
        beyond = int(np.count_nonzero(self.ratios >= distance / self.error))
        return (beyond + 1) / (len(self.ratios) + 1)


def studentised(statistic: Statistic, count: int, replicates: int, seed: int) -> Studentised:
    """Draw videos with replacement.

    Args:
        statistic: of draws.
        count: number of videos.
        replicates: number of draws.
        seed: of the draws.
    """
    correction = count / (count - 1)
    value, influence = statistic(np.ones((1, count)))
    error = float(np.sqrt(correction * np.sum(influence**2)))
    rng = np.random.default_rng(seed)
    ratios = []
    block = max(1, BLOCK // count)
    for begin in range(0, replicates, block):
        size = min(block, replicates - begin)
        weights = rng.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float64)
        drawn, influences = statistic(weights)
        errors = np.sqrt(correction * np.einsum('dv,dv,dv->d', weights, influences, influences))
        away = np.abs(drawn - value)
        # a draw of one video alone has no error: it could be any number of errors away
        ratios.append(np.divide(away, errors, out=np.full(size, np.inf), where=errors > 1e-15))
    return Studentised(float(value[0]), error, np.concatenate(ratios))
