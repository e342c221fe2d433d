"""How far raters agree: each with the mean of the others, and all together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from abawfw.evaluation.functional.ccc import Moments, is_constant, moments
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
            None where these are fewer than two, or their mean does not vary, or the rater is not among them.
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
    panels = [
        _panel(together[of[0]].raters, {name: together[name] for name in of}, drawn, unit, draws, seed)
        for of in by_raters.values()
    ]
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
            of_panel = [together[name] for name in by_raters[frozenset(largest)]]
            means = _means(of_panel, others)
            without = _known(_alpha(np.sum([_panel_sums(v, others, means) for v in of_panel], axis=0), means))
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


def _panel_sums(video: VideoRatings, raters: Sequence[str], means: np.ndarray) -> np.ndarray:
    """Frames, sum of each rater, sum of all squares, and of the squares of sums over raters, (raters + 3,).

    These are all that alpha and ICC need of a video. Values are taken about the means over all videos,
    (raters,): what is then left of a rater who never moves is 0, and long videos lose no digits.
    """
    x = _of_raters(video, raters) - means[:, None]
    return np.array([x.shape[1], *x.sum(axis=1), np.sum(x * x), np.sum(x.sum(axis=0) ** 2)])


def _of_raters(video: VideoRatings, raters: Sequence[str]) -> np.ndarray:
    return video.values[[video.raters.index(rater) for rater in raters]]


def _means(videos: Sequence[VideoRatings], raters: Sequence[str]) -> np.ndarray:
    """Of each rater over all frames, (raters,)."""
    return np.asarray(np.concatenate([_of_raters(video, raters) for video in videos], axis=1).mean(axis=1))


def _panel(
    raters: tuple[str, ...],
    videos: Mapping[str, VideoRatings],
    units: Sequence[Sequence[str]],
    unit: str,
    draws: int,
    seed: int,
) -> PanelAgreement:
    means = _means([*videos.values()], raters)
    sums = {name: _panel_sums(video, raters, means) for name, video in videos.items()}
    of_units = [[sums[v] for v in of if v in sums] for of in units]
    rows = np.stack([np.sum(of, axis=0) for of in of_units if of])
    total = rows.sum(axis=0)

    def measured(of: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Measure:
        value = _known(of(total, means))
        if value is None:
            still = is_constant(np.sqrt(np.sum(means**2)), total[-2] / total[0])
            reason = 'no rating varies' if still else 'the mean of the raters does not vary'
            return Measure(None, Interval(None, None, reason))

        def transformed(sums: np.ndarray) -> np.ndarray:
            return np.asarray(np.log(_above(1 - of(sums, means), ROUNDING)))

        return Measure(value, _interval(rows, transformed, lambda z: 1 - float(np.exp(z)), unit, draws, seed))

    return PanelAgreement(raters, len(sums), int(total[0]), measured(_alpha), measured(_icc))


def _alpha(sums: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Cronbach's alpha of sums (..., raters + 3) about means (raters,); NaN where it is not defined."""
    _, _, variances, of_sum = _parts(sums, means)
    k = len(means)
    with np.errstate(all='ignore'):
        return np.asarray(k / (k - 1) * (1 - variances / of_sum))


def _icc(sums: np.ndarray, means: np.ndarray) -> np.ndarray:
    """ICC(2,k) of sums (..., raters + 3) about means (raters,); NaN where it is not defined."""
    n, levels, variances, of_sum = _parts(sums, means)
    k = len(means)
    between_raters = np.sum((levels - levels.mean(axis=-1, keepdims=True)) ** 2, axis=-1)
    with np.errstate(all='ignore'):
        msr, msc = n * of_sum / k / (n - 1), n * between_raters / (k - 1)
        mse = n * (variances - of_sum / k) / ((n - 1) * (k - 1))
        return np.asarray((msr - mse) / (msr + (msc - mse) / n))


def _parts(sums: np.ndarray, means: np.ndarray) -> tuple[np.ndarray, ...]:
    """Frames, mean of each rater, the sum of the raters' variances, and the variance of their sum.

    The latter is NaN where it is constant: nothing is then left to divide by but rounding.
    """
    n, each = sums[..., 0], sums[..., 1:-2] / sums[..., :1]
    variances = sums[..., -2] / n - (each**2).sum(axis=-1)
    size = np.sqrt(np.sum(means**2) + np.maximum(variances.real, 0))
    of_sum = _variance(sums[..., -1] / n, each.sum(axis=-1))
    return n, means + each, variances, np.where(is_constant(size, of_sum.real), np.nan, of_sum)


def _variance(square: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Of the mean square and the mean; NaN where it is rounding, as in draws of videos where nobody moves."""
    return _above(square - mean**2, ROUNDING * square.real)


def _above(values: np.ndarray, least: float | np.ndarray) -> np.ndarray:
    """Values, NaN where they are at most ``least``."""
    return np.where(values.real <= least, np.nan, values)


def _correlation(units: Sequence[Moments], unit: str, draws: int, seed: int) -> Measure:
    total = Moments.pool(units)
    rows = VideoSums(units).sums

    def transformed(sums: np.ndarray) -> np.ndarray:
        x, y, xx, yy, xy = np.moveaxis(sums[..., 1:] / sums[..., :1], -1, 0)
        r = (xy - x * y) / np.sqrt(_variance(xx, x) * _variance(yy, y))
        return np.asarray(np.log(_above(1 + r, ROUNDING)) - np.log(_above(1 - r, ROUNDING))) / 2  # arctanh

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
