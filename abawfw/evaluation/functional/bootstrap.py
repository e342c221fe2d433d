"""How far a CCC would move with other videos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from abawfw.errors import counted
from abawfw.evaluation.functional.moments import Moments
from abawfw.evaluation.functional.studentised import studentised
from abawfw.evaluation.functional.video_sums import VideoSums

# Below, whatever the quantile of the draws, intervals hold too little: 92 % for 8 videos of which one has 45
# % of the frames (effective number 4.1), and an interval can be -.98 to 1.
LEAST_EFFECTIVE = 5
ROUNDING = 1e-12  # errors below this are those of floating point


class Interval(NamedTuple):
    """Of a CCC, at 95 %.

    Attributes:
        low: lower end; None where there is no interval.
        high: upper end.
        obstacle: why there is none, in words; None where there is one.
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
            of videos; those without a labelled frame are left out.
        replicates: number of draws.
        seed: of the draws.
        unit: what the units are called.
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
