"""How far the difference of two CCCs would move with other videos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from abawfw.errors import DataError
from abawfw.evaluation.functional.bootstrap import ROUNDING, interval_obstacle
from abawfw.evaluation.functional.moments import Moments
from abawfw.evaluation.functional.studentised import studentised
from abawfw.evaluation.functional.video_sums import VideoSums


class Difference(NamedTuple):
    """By how much the CCC of B is above that of A.

    Attributes:
        value: the difference.
        low: lower end of its interval; None where there is none.
        high: upper end.
        p_value: two-sided, of no difference; below 1 - level exactly where the interval leaves out 0.
        obstacle: why there are no interval and no p-value, in words; None where there are.
    """

    value: float
    low: float | None
    high: float | None
    p_value: float | None
    obstacle: str | None = None


def paired_bootstrap(
    a: Sequence[Moments],
    b: Sequence[Moments],
    level: float = 0.95,
    replicates: int = 10_000,
    seed: int = 0,
    unit: str = 'video',
) -> Difference:
    """Compare B with A over the same videos, or groups of videos.

    Args:
        a: statistics of A by unit: by video, or, where videos depend on one another, by group of videos.
        b: those of B, of the same units.
        level: of the interval.
        replicates: number of draws.
        seed: of the draws.
        unit: what the units are called.

    Raises:
        DataError: A and B have other numbers of units or of labelled frames, or there is none.
    """
    first, second = paired_sums(a, b)

    def score(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        one, other = first.score(weights), second.score(weights)
        return other.value - one.value, other.influence - one.influence

    count = len(first.sums)
    if obstacle := interval_obstacle(a, unit):
        return Difference(float(score(np.ones((1, count)))[0][0]), None, None, None, obstacle)
    found = studentised(score, count, replicates, seed)
    value = found.value
    # runs that agree to the last digits have no difference, only rounding
    if found.error <= ROUNDING:
        return Difference(value, value, value, 1.0 if abs(value) <= ROUNDING else 1 / (replicates + 1))
    if obstacle := found.obstacle(unit):
        return Difference(value, None, None, None, obstacle)
    reach = found.quantile(level) * found.error
    # no two CCCs are further apart than 2
    low, high = max(value - reach, -2.0), min(value + reach, 2.0)
    return Difference(value, low, high, found.p_value(abs(value)))


def paired_sums(a: Sequence[Moments], b: Sequence[Moments]) -> tuple[VideoSums, VideoSums]:
    """Sums of A and B over the units that have a label.

    Raises:
        DataError: see ``paired_bootstrap``.
    """
    if [x.n for x in a] != [x.n for x in b]:
        raise DataError('A and B must have the same videos, with the same labelled frames')
    kept = [i for i, x in enumerate(a) if x.n]
    if not kept:
        raise DataError('no video has a label: there is nothing to compare')
    return VideoSums([a[i] for i in kept]), VideoSums([b[i] for i in kept])
