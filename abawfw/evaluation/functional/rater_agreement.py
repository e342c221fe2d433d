"""How far raters agree: each with the mean of the others, and all together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from abawfw.evaluation.functional.ccc import Moments, moments
from abawfw.evaluation.functional.ratings import VideoRatings
from abawfw.evaluation.functional.resampling import (
    ROUNDING,
    Interval,
    bootstrap_ccc,
    interval_obstacle,
    studentised,
)
from abawfw.evaluation.functional.video_sums import VideoSums

DRAWS = 5000


class Measure(NamedTuple):
    """A value and its 95 % interval over videos; None where it is not defined, as where nobody moves."""

    value: float | None
    interval: Interval


class RaterAgreement(NamedTuple):
    """Of one rater with the mean of the others.

    Attributes:
        videos: that the rater rated together with others.
        frames: of them that all raters have rated.
        ccc: concordance correlation.
        pcc: Pearson correlation.
        alpha_without: Cronbach's alpha of the others, over the videos of the panel that has most frames;
            None where these are fewer than two, or the rater is not among them.
    """

    videos: int
    frames: int
    ccc: Measure
    pcc: Measure
    alpha_without: float | None


class PanelAgreement(NamedTuple):
    """Of all raters of videos that the same persons have rated.

    Attributes:
        raters: their names.
        videos: that they rated.
        frames: of them that all have rated.
        alpha: Cronbach's alpha.
        icc: ICC(2,k), absolute agreement of the mean of all.
    """

    raters: tuple[str, ...]
    videos: int
    frames: int
    alpha: Measure
    icc: Measure


class Agreement(NamedTuple):
    """Of the raters of one target.

    Attributes:
        raters: by name, those who rated a frame together with another one.
        panels: the one with most frames first.
    """

    raters: Mapping[str, RaterAgreement]
    panels: Sequence[PanelAgreement]


def rater_agreement(
    videos: Mapping[str, VideoRatings],
    units: Sequence[Sequence[str]] | None = None,
    unit: str = 'video',
    draws: int = DRAWS,
    seed: int = 0,
) -> Agreement:
    """Measure agreement over all frames of all videos, each with an interval over videos.

    Frames count that all raters of a video have rated. CCC and Pearson correlation are those over all such
    frames together, as everywhere. Alpha and ICC belong to a set of persons, a panel: where videos have
    other raters, there are several.

    Cronbach 1951, Psychometrika 16: alpha = k / (k - 1) (1 - sum of the variances / variance of the sum).
    ICC(2,k), Shrout and Fleiss 1979, Psychological Bulletin 86: (MSR - MSE) / (MSR + (MSC - MSE) / n), with
    the mean squares between frames, between raters, and of what is left, of n frames.

    Intervals are those of ``bootstrap_ccc``: studentised draws of videos; of correlations on the scale of
    Fisher's z, of alpha and ICC on that of ln(1 - x) (Bonett 2002, Journal of Educational and Behavioral
    Statistics 27).

    Args:
        videos: ratings of one target.
        units: videos that depend on one another, drawn together; each on its own if not given.
        unit: what the units are called.
        draws: of videos.
        seed: of the draws.

    >>> from abawfw.evaluation.functional import VideoRatings
    >>> values = np.array([[0.0, 0.2, 0.4, 0.1], [0.1, 0.3, 0.5, 0.2]])
    >>> found = rater_agreement({'v': VideoRatings(('anna', 'ben'), values, np.arange(4.0))})
    >>> round(found.raters['anna'].pcc.value, 3), round(found.raters['anna'].ccc.value, 3)
    (1.0, 0.814)
    >>> round(found.panels[0].alpha.value, 3), round(found.panels[0].icc.value, 3)
    (1.0, 0.921)
    """
    together = {name: _common(video) for name, video in videos.items() if len(video.raters) > 1}
    together = {name: video for name, video in together.items() if video.values.size}
    drawn = [[name] for name in videos] if units is None else units
    by_raters: dict[frozenset[str], list[str]] = {}
    for name, video in together.items():
        by_raters.setdefault(frozenset(video.raters), []).append(name)
    panels, sums = [], {}
    for of in by_raters.values():
        names = together[of[0]].raters
        sums[names] = {name: _panel_sums(together[name], names) for name in of}
        panels.append(_panel(names, sums[names], drawn, unit, draws, seed))
    panels.sort(key=lambda panel: -panel.frames)
    largest = panels[0].raters if panels else ()
    raters = {}
    for rater in dict.fromkeys(r for video in together.values() for r in video.raters):
        pairs = {name: _pair(video, rater) for name, video in together.items() if rater in video.raters}
        pooled = [Moments.pool(pairs[v] for v in of if v in pairs) for of in drawn]
        pooled = [m for m in pooled if m.n]
        without = None
        if rater in largest and len(largest) > 2:
            others = tuple(r for r in largest if r != rater)
            of_others = [_panel_sums(together[name], others) for name in sums[largest]]
            with np.errstate(all='ignore'):
                without = _known(_alpha(np.sum(of_others, axis=0)))
        total = Moments.pool(pooled)
        ccc = Measure(total.ccc, bootstrap_ccc(pooled, draws, seed, unit))
        raters[rater] = RaterAgreement(
            len(pairs), total.n, ccc, _correlation(pooled, unit, draws, seed), without
        )
    return Agreement(raters, panels)


def _common(video: VideoRatings) -> VideoRatings:
    common = video.common
    return VideoRatings(video.raters, video.values[:, common], video.times[common])


def _pair(video: VideoRatings, rater: str) -> Moments:
    at = video.raters.index(rater)
    return moments(video.others_mean()[at], video.values[at])


def _panel_sums(video: VideoRatings, raters: Sequence[str]) -> np.ndarray:
    """Frames, sum of each rater, sum of all squares, and of the squares of sums over raters, (raters + 3,).

    These are all that alpha and ICC need of a video.
    """
    x = video.values[[video.raters.index(rater) for rater in raters]]
    return np.array([x.shape[1], *x.sum(axis=1), np.sum(x * x), np.sum(x.sum(axis=0) ** 2)])


def _panel(
    raters: tuple[str, ...],
    sums: Mapping[str, np.ndarray],
    units: Sequence[Sequence[str]],
    unit: str,
    draws: int,
    seed: int,
) -> PanelAgreement:
    of_units = [[sums[v] for v in of if v in sums] for of in units]
    rows = np.stack([np.sum(of, axis=0) for of in of_units if of])
    total = rows.sum(axis=0)

    def measured(of: Callable[[np.ndarray], np.ndarray]) -> Measure:
        with np.errstate(all='ignore'):  # where nobody moves
            value = _known(of(total))
        if value is None:
            return Measure(None, Interval(None, None, 'no rating varies'))
        ends = _interval(rows, lambda t: np.log(1 - of(t)), lambda z: 1 - float(np.exp(z)), unit, draws, seed)
        return Measure(value, ends)

    return PanelAgreement(raters, len(sums), int(total[0]), measured(_alpha), measured(_icc))


def _alpha(sums: np.ndarray) -> np.ndarray:
    """Cronbach's alpha of sums (..., raters + 3)."""
    n, each, squares, of_sum = _parts(sums)
    k = each.shape[-1]
    variances = squares - (each**2).sum(axis=-1) / n
    return k / (k - 1) * (1 - variances / (of_sum - each.sum(axis=-1) ** 2 / n))


def _icc(sums: np.ndarray) -> np.ndarray:
    """ICC(2,k) of sums (..., raters + 3)."""
    n, each, squares, of_sum = _parts(sums)
    k = each.shape[-1]
    middle = each.sum(axis=-1) ** 2 / (n * k)
    between_frames, between_raters = of_sum / k - middle, (each**2).sum(axis=-1) / n - middle
    left = squares - middle - between_frames - between_raters
    msr, msc, mse = between_frames / (n - 1), between_raters / (k - 1), left / ((n - 1) * (k - 1))
    return (msr - mse) / (msr + (msc - mse) / n)


def _parts(sums: np.ndarray) -> tuple[np.ndarray, ...]:
    return sums[..., 0], sums[..., 1:-2], sums[..., -2], sums[..., -1]


def _correlation(units: Sequence[Moments], unit: str, draws: int, seed: int) -> Measure:
    total = Moments.pool(units)
    rows = VideoSums(units).sums

    def transformed(sums: np.ndarray) -> np.ndarray:
        n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
        return np.arctanh((xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n)))

    if total.constant:
        return Measure(total.pcc, Interval(None, None, 'one of both does not vary'))
    return Measure(total.pcc, _interval(rows, transformed, np.tanh, unit, draws, seed))


def _known(value: np.ndarray) -> float | None:
    return float(value) if np.isfinite(value) else None


STEP = 1e-30  # of a complex step: no difference is taken, so none is too small


def _interval(
    rows: np.ndarray,
    transformed: Callable[[np.ndarray], np.ndarray],
    back: Callable[[float], float],
    unit: str,
    draws: int,
    seed: int,
) -> Interval:
    """The interval of a function of sums over units, whose derivatives come from complex steps.

    Args:
        rows: (units, sums), frames first.
        transformed: sums (draws, sums) -> the statistic on the scale of its interval, (draws,).
        back: from this scale.
        unit: what the units are called.
        draws: of units.
        seed: of the draws.
    """
    if obstacle := interval_obstacle([Moments(n=int(row[0])) for row in rows], unit):
        return Interval(None, None, obstacle)

    def statistic(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        totals = weights @ rows
        with np.errstate(all='ignore'):  # draws in which nobody moves have no value, see below
            value = transformed(totals)
            steps = STEP * 1j * np.eye(rows.shape[1])
            gradient = np.stack([transformed(totals + step).imag / STEP for step in steps], axis=1)
        influence = gradient @ rows.T
        influence -= (weights * influence).sum(axis=1, keepdims=True) / weights.sum(axis=1, keepdims=True)
        known = np.isfinite(value) & np.isfinite(influence).all(axis=1)
        # no error of its own: such a draw counts as infinitely many errors away
        return np.where(known, value, 0.0), np.where(known[:, None], influence, 0.0)

    found = studentised(statistic, len(rows), draws, seed)
    if found.error <= ROUNDING:
        return Interval(None, None, 'the raters are equal, or do not vary')
    if obstacle := found.obstacle(unit):
        return Interval(None, None, obstacle)
    reach = found.quantile(0.95) * found.error
    low, high = sorted(float(back(found.value + side * reach)) for side in (-1, 1))
    return Interval(low, high)
