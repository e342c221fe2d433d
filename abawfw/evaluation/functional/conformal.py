"""How far a prediction may be from its label, frame by frame: split-conformal intervals over videos.

Frames of a video depend on one another, so what is exchangeable are videos, or whole groups of them where
these depend on one another. All units count alike, within a unit its videos, and within a video its frames.
The statement is one about new videos together: **of the labelled frames of a new video (of a new person or
session, where groups are known) at least 1 - alpha are covered on average.** In single videos it may be less.

Source: Lee, Barber and Willett 2023, arXiv:2306.06342 (hierarchical conformal prediction), after Dunn,
Wasserman and Ramdas 2022, arXiv:1809.07441; residuals over a spread: Lei et al. 2018, arXiv:1604.04173.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from abawfw.errors import DataError, counted
from abawfw.evaluation.functional.curves import smooth

ALPHA = 0.1
"""Fraction of the frames of a new video that may lie outside an interval, where no other is asked for."""
WINDOW = 50  # frames on one side, as the smoothing of valence (docs/rucaim3.md, Inference)
FLOOR = (
    0.2  # of the spread: a constant prediction has an interval, too; less makes wider ones (statistics.md)
)
ROUNDING = 1e-9  # of sums of weights

Unit = Sequence[tuple[Any, Any]]
"""Predictions and labels, (frames,) each, of the videos of one group, or of one video."""


class FrameIntervals(NamedTuple):
    """What was found on videos with labels, and what it is worth on others.

    Attributes:
        alpha: fraction of the frames of a new video that may lie outside, on average.
        reach: spreads on either side of a prediction; None where there are too few units.
        window: frames on one side over which the spread is taken.
        floor: added to it, in squares.
        units: number of videos, or of groups of them, with a label.
        width: mean of the intervals in the labelled frames, units and their videos counting alike; of 2,
            the width of all values; None without intervals.
        covered: mean fraction of the frames of a unit that the intervals of all other units cover; None where
            these are too few.
        lowest: the fraction in the unit where it is lowest.
        obstacle: why there are no intervals, as text; None where there are.
    """

    alpha: float
    reach: float | None
    window: int
    floor: float
    units: int
    width: float | None = None
    covered: float | None = None
    lowest: float | None = None
    obstacle: str | None = None

    @property
    def level(self) -> str:
        """What they are called: '90 %'."""
        return f'{100 * (1 - self.alpha):.4g} %'

    def limits(self, pred: Any) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends, (frames,) each, within [-1, 1].

        Args:
            pred: of one video, (frames,), post-processed as those that the intervals were found on.

        Raises:
            DataError: there are no intervals, or a prediction is not finite.
        """
        if self.reach is None:
            raise DataError(f'there are no intervals: {self.obstacle}')
        pred = np.asarray(pred, dtype=np.float64)
        apart = self.reach * local_spread(pred, self.window, self.floor)
        return np.clip(pred - apart, -1.0, 1.0), np.clip(pred + apart, -1.0, 1.0)


def local_spread(pred: Any, window: int = WINDOW, floor: float = FLOOR) -> np.ndarray:
    """Standard deviation of a curve in a moving window, (frames,), with a floor added in squares.

    Args:
        pred: of one video, (frames,).
        window: frames on one side; at the ends of the video those that exist count.
        floor: what a constant curve has.

    >>> local_spread([0.3, 0.3, 0.3]).round(3)
    array([0.2, 0.2, 0.2])
    """
    pred = np.asarray(pred, dtype=np.float64)
    mean, square = smooth(np.stack([pred, pred**2], axis=1), window).T
    return np.sqrt(np.maximum(square - mean**2, 0.0) + floor**2)


def frame_intervals(units: Sequence[Unit], alpha: float = ALPHA, unit: str = 'video') -> FrameIntervals:
    """Find the reach of the intervals on videos with labels.

    The reach is the smallest that covers 1 - alpha of the frames of all units and of one more, of which
    nothing is known, and which therefore counts as not covered. So with few units it covers rather more than
    that: 1 - alpha times (units + 1) / units of the frames at hand.

    Args:
        units: videos with labels, NaN where there is none; those without a labelled frame are omitted.
        alpha: between 0 and 1.
        unit: what the units are called, 'video' or 'group'.

    >>> rng = np.random.default_rng(0)
    >>> found = frame_intervals([[(np.zeros(100), rng.uniform(-0.5, 0.5, 100))] for _ in range(40)])
    >>> low, high = found.limits([0.0, 0.0])
    >>> high.round(2)
    array([0.46, 0.46])
    """
    labelled = [[video for video in videos if np.isfinite(video[1]).any()] for videos in units]
    labelled = [videos for videos in labelled if videos]
    count = len(labelled)
    if obstacle := _too_few(count, alpha, unit):
        return FrameIntervals(alpha, None, WINDOW, FLOOR, count, obstacle=obstacle)
    parts = []
    for number, videos in enumerate(labelled):
        for pred, label in videos:
            known = np.isfinite(label)
            given, spread = np.asarray(pred, dtype=np.float64)[known], local_spread(pred)[known]
            weight = np.full(len(given), 1 / len(videos) / len(given))
            parts.append((given, spread, np.asarray(label)[known], weight, np.full(len(given), number)))
    given, spread, true, weight, owner = (np.concatenate(of) for of in zip(*parts, strict=True))
    score = np.abs(true - given) / spread
    order = np.argsort(score, kind='stable')
    ranked, weights, owners = score[order], weight[order], owner[order]
    needed = (1 - alpha) * (count + 1) - ROUNDING
    reach = float(ranked[np.searchsorted(np.cumsum(weights), needed)])
    width = np.clip(given + reach * spread, -1, 1) - np.clip(given - reach * spread, -1, 1)
    covered = None if _too_few(count - 1, alpha, unit) else _left_out(ranked, weights, owners, alpha)
    return FrameIntervals(
        alpha,
        reach,
        WINDOW,
        FLOOR,
        count,
        min(float(weight @ width / count), 2.0),  # which sums of weights may pass by rounding
        None if covered is None else float(covered.mean()),
        None if covered is None else float(covered.min()),
    )


def _left_out(ranked: np.ndarray, weights: np.ndarray, owners: np.ndarray, alpha: float) -> np.ndarray:
    """What the intervals of the others cover of each unit, (units,); all units at once, by bisection.

    Args:
        ranked: scores, (frames,), rising.
        weights: of these frames; those of each unit sum to 1.
        owners: number of the unit of each, counted from 0.
        alpha: as in ``frame_intervals``.
    """
    frames, count, totals = len(weights), int(owners.max()) + 1, np.cumsum(weights)
    order = np.argsort(owners, kind='stable')
    places = owners[order] * frames + order  # rising: unit by unit, within each by score
    own = np.concatenate([[0.0], np.cumsum(weights[order])])
    units = np.arange(count)

    def up_to(ranks: np.ndarray) -> np.ndarray:
        """How much of each unit has this rank or a lower one."""
        return own[np.searchsorted(places, units * frames + ranks, side='right')] - units

    low, high = np.zeros(count, dtype=np.int64), np.full(count, frames - 1)
    while (low < high).any():
        middle = (low + high) // 2
        enough = totals[middle] - up_to(middle) >= (1 - alpha) * count - ROUNDING
        low, high = np.where(enough, low, middle + 1), np.where(enough, middle, high)
    covered = up_to(np.searchsorted(ranked, ranked[low], side='right') - 1)  # what is as high is within, too
    return np.where(covered < ROUNDING, 0.0, np.minimum(covered, 1.0))  # as exact sums give them


def _too_few(count: int, alpha: float, unit: str) -> str | None:
    """Why there are too few units for a level: the one of which nothing is known counts more than alpha."""
    needed = ceil(1 / alpha - ROUNDING) - 1
    if count >= needed:
        return None
    return (
        f'{counted(count, f"labelled {unit}")}: intervals for {100 * (1 - alpha):.4g} % of the frames (alpha '
        f'{alpha:g}) need {needed} or more'
    )
