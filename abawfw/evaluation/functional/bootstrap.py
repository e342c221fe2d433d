"""How far a CCC, or the difference of two, would move with other videos.

Frames of a video depend on one another, so videos are drawn, never frames. Draws are studentised: each is
measured in its own standard error, which comes from the influence of each video on the CCC (infinitesimal
jackknife), and intervals are symmetric. Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap,
chapters 12 and 21; Hall 1988 on symmetric intervals. Percentile and BCa intervals cover too little here,
since few long videos carry much of the weight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from abawfw.errors import DataError
from abawfw.evaluation.functional.moments import Moments
from abawfw.evaluation.functional.video_sums import VideoSums

LEAST_VIDEOS = 4  # of 3, every ninth draw is one video thrice, which has no standard error
# A video with nearly all frames is nearly the whole, so that draws of videos hardly move the CCC: with 97 %
# of the frames in one of 8 videos, intervals would hold the true CCC in half of the cases.
LEAST_EVEN_VIDEOS = 3.0
ROUNDING = 1e-12  # errors below this are those of floating point
BLOCK = 1 << 22  # numbers of an array at a time: what fits the cache is faster, and memory stays small


# weights (draws, videos) -> the statistic of each draw, and the influence of each video on it
Statistic: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


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


def interval_obstacle(videos: Sequence[Moments]) -> str | None:
    """Why these videos have no interval and no p-value, in words; None if they have.

    Uneven lengths count as fewer videos, (sum of frames)^2 / sum of squared frames (Kish 1965, Survey
    Sampling).

    Args:
        videos: statistics of each video; those without a labelled frame do not count.
    """
    frames = np.array([v.n for v in videos if v.n], dtype=np.float64)
    if len(frames) < LEAST_VIDEOS:
        return f'{len(frames)} labelled video(s): an interval over videos needs {LEAST_VIDEOS} or more'
    even = frames.sum() ** 2 / (frames**2).sum()
    if even < LEAST_EVEN_VIDEOS:
        return (
            f'one of the {len(frames)} labelled videos has {frames.max() / frames.sum():.0%} of the frames, '
            f'so they count as {even:.1f}: an interval over videos needs {LEAST_EVEN_VIDEOS:.0f} or more'
        )
    return None


def bootstrap_ccc(
    videos: Sequence[Moments], replicates: int = 10_000, seed: int = 0, level: float = 0.95
) -> tuple[float, float] | None:
    """Interval of the CCC over all frames, on the scale of Fisher's z.

    Args:
        videos: statistics of each video; those without a labelled frame are left out.
        replicates: number of draws.
        seed: of the draws.
        level: share of such intervals that hold the CCC of all videos that there could be.

    Returns:
        Lower and upper end; None where ``interval_obstacle`` says why.
    """
    videos = [v for v in videos if v.n]
    if interval_obstacle(videos):
        return None
    sums = VideoSums(videos)

    def score(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, influence = sums.score(weights)
        room = np.maximum(1 - value**2, 1e-12)
        return np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12)), influence / room[:, None]

    z, error, ratios = _studentised(score, len(videos), replicates, seed)
    reach = _quantile(ratios, level) * error if error > ROUNDING else 0.0
    return float(np.tanh(z - reach)), float(np.tanh(z + reach))


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
    value, error, ratios = _studentised(score, count, replicates, seed)
    # runs that agree to the last digits have no difference, only rounding
    if error <= ROUNDING:
        return Difference(value, value, value, 1.0 if abs(value) <= ROUNDING else 1 / (replicates + 1))
    reach = _quantile(ratios, 0.95) * error
    beyond = int(np.count_nonzero(ratios >= abs(value) / error))
    # no two CCCs are further apart than 2
    low, high = max(value - reach, -2.0), min(value + reach, 2.0)
    return Difference(value, low, high, (beyond + 1) / (replicates + 1))


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


def _quantile(ratios: np.ndarray, level: float) -> float:
    """That ratio which as many draws exceed as make a p-value of 1 - level; some may be infinite."""
    rank = min(int((len(ratios) + 1) * level), len(ratios) - 1)
    return float(np.partition(ratios, rank)[rank])


def _studentised(score: Statistic, count: int, replicates: int, seed: int) -> tuple[float, float, np.ndarray]:
    """The statistic of all videos, its standard error, and |draw - statistic| / error of each draw."""
    correction = count / (count - 1)
    value, influence = score(np.ones((1, count)))
    error = float(np.sqrt(correction * np.sum(influence**2)))
    rng = np.random.default_rng(seed)
    ratios = []
    block = max(1, BLOCK // count)
    for begin in range(0, replicates, block):
        size = min(block, replicates - begin)
        weights = rng.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float64)
        drawn, influences = score(weights)
        errors = np.sqrt(correction * np.einsum('dv,dv,dv->d', weights, influences, influences))
        away = np.abs(drawn - value)
        # a draw of one video alone has no error: it could be any number of errors away
        ratios.append(np.divide(away, errors, out=np.full(size, np.inf), where=errors > 1e-15))
    return float(value[0]), error, np.concatenate(ratios)
