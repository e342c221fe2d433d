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
        low: lower end of its interval; None where ``interval_obstacle`` says why.
        high: upper end.
        p_value: two-sided, of no difference; below 5 % where the interval leaves out 0.
    """

    value: float
    low: float | None
    high: float | None
    p_value: float | None


def paired_bootstrap(
    *pairs: tuple[Sequence[Moments], Sequence[Moments]], replicates: int = 10_000, seed: int = 0
) -> Difference:
    """Compare B with A over the same videos.

    Args:
        pairs: statistics of A and of B by video, one pair per target; of several targets the mean CCC is
            compared, and a draw takes the same videos for all of them.
        replicates: number of draws.
        seed: of the draws.

    Returns:
        The difference with its 95 % interval.

    Raises:
        DataError: A and B have other numbers of videos or of labelled frames, or there is none.
    """
    sums = paired_sums(pairs)
    count = len(sums[0][0].sums)

    def score(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = [(a.score(weights), b.score(weights)) for a, b in sums]
        value = np.mean([b.value - a.value for a, b in parts], axis=0)
        return value, np.mean([b.influence - a.influence for a, b in parts], axis=0)

    if any(interval_obstacle(a) for a, _ in pairs):
        return Difference(float(score(np.ones((1, count)))[0][0]), None, None, None)
    found = studentised(score, count, replicates, seed)
    value = found.value
    # runs that agree to the last digits have no difference, only rounding
    if found.error <= ROUNDING:
        return Difference(value, value, value, 1.0 if abs(value) <= ROUNDING else 1 / (replicates + 1))
    reach = found.quantile(0.95) * found.error
    # no two CCCs are further apart than 2
    low, high = max(value - reach, -2.0), min(value + reach, 2.0)
    return Difference(value, low, high, found.p_value(abs(value)))


def paired_sums(
    pairs: Sequence[tuple[Sequence[Moments], Sequence[Moments]]],
) -> list[tuple[VideoSums, VideoSums]]:
    """Sums of A and B for each target, over the videos that have a label of any target.

    Raises:
        DataError: see ``paired_bootstrap``.
    """
    counts = {len(side) for pair in pairs for side in pair}
    if len(counts) != 1 or any(x.n != y.n for a, b in pairs for x, y in zip(a, b, strict=True)):
        raise DataError('A and B must have the same videos, with the same labelled frames')
    kept = [i for i in range(counts.pop()) if any(a[i].n for a, _ in pairs)]
    if not kept:
        raise DataError('no video has a label: there is nothing to compare')
    return [(VideoSums([a[i] for i in kept]), VideoSums([b[i] for i in kept])) for a, b in pairs]
