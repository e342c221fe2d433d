"""Draws of videos, each measured in its own standard error.

Frames of a video depend on one another, so videos are drawn, never frames; and whole groups of videos where
these depend on one another. The standard error of a draw comes from the influence of each video on the
statistic (infinitesimal jackknife). Percentile and BCa intervals cover too little here, since few long videos
carry much of the weight.

Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 12 and 21; Hall 1988 on
symmetric intervals.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from abawfw.errors import DataError, counted
from abawfw.evaluation.functional.ccc import Moments
from abawfw.evaluation.functional.video_sums import MeanScore, VideoSums, ccc_of_sums

# Where 95 % of the draws lie within 1.96 of their own standard errors there are videos in plenty. Where it
# takes more than 5, these errors are so uncertain that an interval is more of an accident than a
# measurement.
MOST_ERRORS = 5.0
BLOCK = 1 << 22  # numbers of an array at a time: what fits the cache is faster, and memory stays small

# weights (draws, videos) -> the statistic of each draw, and the influence of each video on it
Statistic: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class Studentised(NamedTuple):
    """What draws of videos show of a statistic.

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
        """Why intervals and p-values of these draws are not usable, as text; None where they are.

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
    ratios = []
    for weights in _draws(count, replicates, seed):
        drawn, influences = statistic(weights)
        errors = np.sqrt(correction * np.einsum('dv,dv,dv->d', weights, influences, influences))
        away = np.abs(drawn - value)
        # a draw of one video alone has no error: it could be any number of errors away
        ratios.append(np.divide(away, errors, out=np.full(len(away), np.inf), where=errors > 1e-15))
    return Studentised(float(value[0]), error, np.concatenate(ratios))


def _draws(count: int, replicates: int, seed: int) -> Iterator[np.ndarray]:
    """How often each of ``count`` videos is drawn, (draws, count), a block after the other."""
    block = max(1, BLOCK // count)
    if replicates <= block:
        yield _one_block(count, replicates, seed)
        return
    rng = np.random.default_rng(seed)
    for begin in range(0, replicates, block):
        yield _drawn(rng, count, min(block, replicates - begin))


@functools.lru_cache(maxsize=1)
def _one_block(count: int, replicates: int, seed: int) -> np.ndarray:
    """The draws of the last call are kept: those of all runs and targets of a comparison are the same."""
    weights = _drawn(np.random.default_rng(seed), count, replicates)
    weights.setflags(write=False)
    return weights


def _drawn(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    return rng.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float64)


# Below, whatever the quantile of the draws, intervals hold too little: 92 % for 8 videos of which one has 45
# % of the frames (effective number 4.1), and an interval can be -.98 to 1.
LEAST_EFFECTIVE = 5
ROUNDING = 1e-12  # errors below this are those of floating point


Units: TypeAlias = Sequence[Moments] | Sequence[Sequence[Moments]]
"""Statistics of a run by video, or by group of videos; or those of several runs whose mean CCC counts."""


def runs_of(units: Units) -> list[Sequence[Moments]]:
    """The statistics run by run."""
    return [units] if not units or isinstance(units[0], Moments) else list(units)  # type: ignore[list-item, arg-type]


class Interval(NamedTuple):
    """Of a CCC, at 95 %.

    Attributes:
        low: lower end; None where there is no interval.
        high: upper end.
        obstacle: why there is none, as text; None where there is one.
    """

    low: float | None
    high: float | None
    obstacle: str | None = None


def effective_number(units: Sequence[Moments]) -> float:
    """As how many units of equal length these count: (sum of frames)^2 / sum of squared frames.

    Args:
        units: statistics of each video, or of each group of videos; those without a labelled frame count
            nothing.

    Source: Kish 1965, Survey Sampling.

    >>> effective_number([Moments(100), Moments(100), Moments(0)])
    2.0
    """
    frames = np.array([unit.n for unit in units], dtype=np.float64)
    return float(frames.sum() ** 2 / np.sum(frames**2)) if frames.any() else 0.0


def interval_obstacle(units: Sequence[Moments], unit: str = 'video') -> str | None:
    """Why these units are too few, or too uneven, for an interval and a p-value; None if they are not.

    Args:
        units: as in ``effective_number``.
        unit: what they are called.
    """
    frames = np.array([u.n for u in units if u.n], dtype=np.float64)
    if len(frames) < LEAST_EFFECTIVE:
        return f'{counted(len(frames), f"labelled {unit}")}: an interval needs {LEAST_EFFECTIVE} or more'
    effective = effective_number(units)
    # equal but for a frame or two is equal
    if effective < LEAST_EFFECTIVE - 0.05:
        return (
            f'{len(frames)} labelled {unit}s, of which one has {frames.max() / frames.sum():.0%} of '
            'the frames, '
            f'count as {effective:.1f} of equal length: an interval needs {LEAST_EFFECTIVE} or more'
        )
    return None


def bootstrap_ccc(units: Units, replicates: int = 10_000, seed: int = 0, unit: str = 'video') -> Interval:
    """95 % interval of the CCC over all frames, on the scale of Fisher's z.

    Args:
        units: what is drawn: statistics of each video, or, where videos depend on one another, of each group
            of videos; those without a labelled frame are omitted. Of several runs, whose mean CCC is asked
            for, a list for each.
        replicates: number of draws.
        seed: of the draws.
        unit: what the units are called.

    >>> from abawfw.evaluation.functional import moments
    >>> rng = np.random.default_rng(0)
    >>> labels = rng.normal(size=(12, 50))
    >>> interval = bootstrap_ccc([moments(label, label + rng.normal(size=50)) for label in labels])
    >>> round(interval.low, 2), round(interval.high, 2)
    (0.63, 0.75)
    """
    labelled = [[u for u in run if u.n] for run in runs_of(units)]
    if obstacle := interval_obstacle(labelled[0], unit):
        return Interval(None, None, obstacle)
    sums = MeanScore(labelled)

    def score(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, influence = sums.score(weights)
        room = np.maximum(1 - value**2, 1e-12)
        return np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12)), influence / room[:, None]

    z = studentised(score, len(labelled[0]), replicates, seed)
    if z.error <= ROUNDING:
        return Interval(float(np.tanh(z.value)), float(np.tanh(z.value)))
    if obstacle := z.obstacle(unit):
        return Interval(None, None, obstacle)
    reach = z.quantile(0.95) * z.error
    return Interval(float(np.tanh(z.value - reach)), float(np.tanh(z.value + reach)))


class Difference(NamedTuple):
    """By how much the CCC of B is above that of A.

    Attributes:
        value: the difference.
        low: lower end of its interval; None where there is none.
        high: upper end.
        p_value: two-sided, of no difference; below 1 - level exactly where the interval excludes 0.
        obstacle: why there are no interval and no p-value, as text; None where there are.
    """

    value: float
    low: float | None
    high: float | None
    p_value: float | None
    obstacle: str | None = None


def paired_bootstrap(
    a: Units,
    b: Units,
    level: float = 0.95,
    replicates: int = 10_000,
    seed: int = 0,
    unit: str = 'video',
) -> Difference:
    """Compare B with A over the same videos, or groups of videos.

    Args:
        a: statistics of A by unit: by video, or, where videos depend on one another, by group of videos; of
            several runs, whose mean CCC counts, a list for each.
        b: those of B, of the same units.
        level: of the interval.
        replicates: number of draws.
        seed: of the draws.
        unit: what the units are called.

    Raises:
        DataError: A and B have other numbers of units or of labelled frames, or there is none.
    """
    one, other = _labelled(a, b)
    first, second = MeanScore(one), MeanScore(other)

    def score(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lower, upper = first.score(weights), second.score(weights)
        return upper.value - lower.value, upper.influence - lower.influence

    count = len(one[0])
    if obstacle := interval_obstacle(one[0], unit):
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


def _labelled(a: Units, b: Units) -> tuple[list[list[Moments]], list[list[Moments]]]:
    """The units of A and B that have a label, run by run; raises as ``paired_bootstrap``."""
    frames = [[x.n for x in run] for run in (*runs_of(a), *runs_of(b))]
    if any(of != frames[0] for of in frames):
        raise DataError('A and B must have the same videos, with the same labelled frames')
    kept = [i for i, n in enumerate(frames[0]) if n]
    if not kept:
        raise DataError('no video has a label: there is nothing to compare')
    first, second = ([[run[i] for i in kept] for run in runs_of(of)] for of in (a, b))
    return first, second


def paired_permutation(a: Units, b: Units, replicates: int = 10_000, seed: int = 0) -> float:
    """Two-sided p-value of no difference in CCC: in each draw, half of the units swap A and B.

    Exact where the runs differ by chance alone, whatever the lengths of videos: n units can be swapped in
    2^(n - 1) ways that differ, so no p-value is below 2^(1 - n). All are tried where they are no more than
    the draws, and drawn at random otherwise. Of several runs the first of A changes places with the first of
    B, and so on.

    Args:
        a: statistics of A by unit, as for ``paired_bootstrap``.
        b: those of B, of the same units, and of as many runs.
        replicates: number of draws.
        seed: of the draws.

    Raises:
        DataError: A and B have other numbers of units or of labelled frames, or there is none.
    """
    lower, upper = _labelled(a, b)
    swaps = _swaps(len(lower[0]), replicates, seed)
    differences = np.zeros(len(swaps))
    for one, other in zip(lower, upper, strict=True):
        first = VideoSums(one)
        both = first.sums, VideoSums(other, first.centre).sums
        totals = [side.sum(axis=0) for side in both]
        moved = swaps @ (both[1] - both[0])
        found = [ccc_of_sums(total, first.centre)[1] for total in (totals[0] + moved, totals[1] - moved)]
        differences += (found[1] - found[0]) / len(lower)
    # equal but for rounding counts as reached
    reached = np.abs(differences) >= abs(differences[0]) - 1e-12
    return float(np.count_nonzero(reached) / len(swaps))


def _swaps(count: int, replicates: int, seed: int) -> np.ndarray:
    """Which units swap, (ways, units) of 0 and 1; the first swaps none, as they were found."""
    if 2 ** (count - 1) <= replicates + 1:  # the last stays: swapping all others instead is the same
        ways = np.arange(2 ** (count - 1))[:, None] >> np.arange(count) & 1
    else:
        ways = np.random.default_rng(seed).integers(0, 2, (replicates + 1, count))
        ways[0] = 0
    return ways.astype(np.float64)
