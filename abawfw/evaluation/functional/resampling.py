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
from abawfw.evaluation.functional.ccc import Moments, concordance


class Score(NamedTuple):
    """A CCC for each draw, (draws,), and its change per unit of weight of each video, (draws, videos)."""

    value: np.ndarray
    influence: np.ndarray


class VideoSums:
    """The `Moments` of videos as a table of plain sums: those of any number of draws are one product with it.

    Values are taken about the means over all frames, so that long videos lose no digits.

    Args:
        videos: statistics of each video; a video without a labelled frame counts for nothing.
        centre: other means of labels and predictions to take values about.

    Attributes:
        centre: means of labels and predictions that values are taken about.
        sums: (videos, 6), of frames, labels, predictions, their squares and their product.
    """

    def __init__(self, videos: Sequence[Moments], centre: tuple[float, float] | None = None) -> None:
        total = Moments.pool(videos)
        self.centre = centre or (total.mean_true, total.mean_pred)
        n = np.array([v.n for v in videos], dtype=np.float64)
        true = np.array([v.mean_true for v in videos]) - self.centre[0]
        pred = np.array([v.mean_pred for v in videos]) - self.centre[1]
        self.sums = np.stack(
            [
                n,
                n * true,
                n * pred,
                np.array([v.square_true for v in videos]) + n * true**2,
                np.array([v.square_pred for v in videos]) + n * pred**2,
                np.array([v.product for v in videos]) + n * true * pred,
            ],
            axis=1,
        )

    def score(self, weights: np.ndarray) -> Score:
        """CCC over the frames of a draw of videos, 0 where it has none.

        Args:
            weights: (draws, videos), how often each video counts.
        """
        totals = weights @ self.sums
        means, value = ccc_of_sums(totals, self.centre)
        mean_true, mean_pred, square_true, square_pred, _ = means.T
        apart = self.centre[0] - self.centre[1] + mean_true - mean_pred
        spread = square_true - mean_true**2 + square_pred - mean_pred**2 + apart**2
        spread = np.where(spread > 0, spread, np.inf)
        # derivatives of 2 covariance and of the spread by the five means
        gradient = np.stack(
            [
                -2 * mean_pred - value * 2 * (apart - mean_true),
                -2 * mean_true + value * 2 * (apart + mean_pred),
                -value,
                -value,
                np.full_like(value, 2.0),
            ],
            axis=1,
        )
        gradient /= spread[:, None] * np.maximum(totals[:, :1], 1.0)
        level = np.sum(gradient * means, axis=1)
        return Score(value, gradient @ self.sums[:, 1:].T - level[:, None] * self.sums[:, 0])


def ccc_of_sums(totals: np.ndarray, centre: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Means, (draws, 5), and CCC, (draws,), of summed sums, (draws, 6)."""
    means = totals[:, 1:] / np.maximum(totals[:, :1], 1.0)
    mean_true, mean_pred, square_true, square_pred, product = means.T
    value = concordance(
        centre[0] + mean_true,
        centre[1] + mean_pred,
        np.maximum(square_true - mean_true**2, 0.0),
        np.maximum(square_pred - mean_pred**2, 0.0),
        product - mean_true * mean_pred,
    )
    return means, value


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


def bootstrap_ccc(
    units: Sequence[Moments], replicates: int = 10_000, seed: int = 0, unit: str = 'video'
) -> Interval:
    """95 % interval of the CCC over all frames, on the scale of Fisher's z.

    Args:
        units: what is drawn: statistics of each video, or, where videos depend on one another, of each group
            of videos; those without a labelled frame are omitted.
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
    units = [u for u in units if u.n]
    if obstacle := interval_obstacle(units, unit):
        return Interval(None, None, obstacle)
    sums = VideoSums(units)

    def score(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, influence = sums.score(weights)
        room = np.maximum(1 - value**2, 1e-12)
        return np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12)), influence / room[:, None]

    z = studentised(score, len(units), replicates, seed)
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
    a, b = _labelled(a, b)
    first, second = VideoSums(a), VideoSums(b)

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


def _labelled(a: Sequence[Moments], b: Sequence[Moments]) -> tuple[list[Moments], list[Moments]]:
    """The units of A and B that have a label; raises as ``paired_bootstrap``."""
    if [x.n for x in a] != [x.n for x in b]:
        raise DataError('A and B must have the same videos, with the same labelled frames')
    kept = [i for i, x in enumerate(a) if x.n]
    if not kept:
        raise DataError('no video has a label: there is nothing to compare')
    return [a[i] for i in kept], [b[i] for i in kept]


def paired_permutation(
    a: Sequence[Moments], b: Sequence[Moments], replicates: int = 10_000, seed: int = 0
) -> float:
    """Two-sided p-value of no difference in CCC: in each draw, half of the units swap A and B.

    Exact, up to the number of draws, where the runs differ by chance alone, whatever the lengths of videos.
    Of n units no p-value is below 2^(1 - n): there are no more ways to swap.

    Args:
        a: statistics of A by unit, as for ``paired_bootstrap``.
        b: those of B, of the same units.
        replicates: number of draws.
        seed: of the draws.

    Raises:
        DataError: A and B have other numbers of units or of labelled frames, or there is none.
    """
    a, b = _labelled(a, b)
    first = VideoSums(a)
    swaps = np.random.default_rng(seed).integers(0, 2, (replicates + 1, len(first.sums))).astype(np.float64)
    swaps[0] = 0.0  # the first is what was found
    both = first.sums, VideoSums(b, first.centre).sums
    totals = [side.sum(axis=0) for side in both]
    moved = swaps @ (both[1] - both[0])
    found = [ccc_of_sums(total, first.centre)[1] for total in (totals[0] + moved, totals[1] - moved)]
    differences = found[1] - found[0]
    # equal but for rounding counts as reached
    reached = np.abs(differences[1:]) >= abs(differences[0]) - 1e-12
    return float((np.count_nonzero(reached) + 1) / (replicates + 1))


def pcc_p_value(pcc: float, n: int) -> float:
    """Two-sided p-value of a Pearson correlation, as for pairs of independent normal values.

    Args:
        pcc: the correlation coefficient.
        n: pairs it was computed from; fewer than 3 are no evidence, and the value is 1.

    >>> round(pcc_p_value(0.5, 3), 4)
    0.6667
    """
    from scipy.special import betainc  # here: importing this room must stay light

    return float(betainc(n / 2 - 1, 0.5, 1 - pcc * pcc)) if n >= 3 else 1.0
