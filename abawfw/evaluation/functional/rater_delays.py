"""By how much each rater is later, or earlier, than the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from abawfw.errors import ConfigError
from abawfw.evaluation.functional.ccc import Moments
from abawfw.evaluation.functional.ratings import VideoRatings, mean_of_those, raters_of
from abawfw.evaluation.functional.resampling import interval_obstacle

RATE = 5.0
"""Values a second that are compared; a parabola finds the peak between them."""
WINDOW = 20.0
"""Seconds; each window is compared about its own means, so that slow drifts have no part in it."""
BOUND = 5.0
"""Seconds by which a rater may be late or early unless a caller says otherwise."""
LEAST = 0.1
"""Correlation at the peak below which it is one of noise."""
FLAT = 4.0
"""Seconds: a peak is flat where the correlation is within a tenth of it over more than these."""
ROUNDS = 8
"""Of bringing everybody together with the others; three or four are usual."""
CLOSE = 0.02
"""Seconds by which nobody moves any more when the rounds end."""
DRAWS = 2000


class Delay(NamedTuple):
    """Of one rater, over all videos.

    Attributes:
        seconds: by which the rater is later than the median of all; None where no delay is clear.
        low: lower end of its 95 % interval over videos; None where there is none.
        high: upper end.
        curve: correlation with the mean of the others at each lag, (lags,).
        warning: what is wrong with the peak; empty if nothing is.
        obstacle: why there is no interval; None where there is one, or no delay.
    """

    seconds: float | None
    low: float | None
    high: float | None
    curve: np.ndarray
    warning: str = ''
    obstacle: str | None = None


def rater_delays(
    videos: Mapping[str, VideoRatings],
    bound: float = BOUND,
    units: Sequence[Sequence[str]] | None = None,
    unit: str = 'video',
    seed: int = 0,
) -> dict[str, Delay]:
    """Find the delay of each rater by windowed cross-correlation with the mean of the others.

    Ratings are compared five times a second, in windows of 20 s that overlap by half, each about its own
    means. Covariances and variances are summed over the windows of all videos, so that a window in which
    nothing happens counts for nothing. The lag at which the correlation is highest is the delay. The others
    are brought together first, each by its own delay, until nobody moves any more.

    Delays are relative to the median of all raters, so of two each is half of the difference away. What all
    share, the time that people take to react, cannot be seen in ratings alone. Intervals are percentiles of
    draws of videos: the place of a peak has no standard error of its own.

    Args:
        videos: ratings of one target.
        bound: seconds, the largest delay that is looked for.
        units: videos that are drawn together for the intervals; each on its own if not given.
        unit: what the units are called.
        seed: of the draws.

    Returns:
        By rater, those who rated a video together with another one.

    Raises:
        ConfigError: a bound that is not from 1 to 60 s.

    Source: windows, Boker, Rotondo, Xu and King 2002, Psychological Methods 7; that raters are late by
    seconds, and differ in it, Mariooryad and Busso 2015, IEEE Transactions on Affective Computing 6.

    >>> from abawfw.evaluation.functional import VideoRatings
    >>> t = np.arange(0, 120, 0.1)
    >>> course = np.sin(t) + np.sin(t / 1.7)
    >>> late = np.interp(t - 2, t, course)
    >>> videos = {'v': VideoRatings(('anna', 'ben', 'carl'), np.stack([course, late, course]), t)}
    >>> {rater: round(delay.seconds, 1) for rater, delay in rater_delays(videos).items()}
    {'anna': 0.0, 'ben': 2.0, 'carl': 0.0}
    """
    check_bound(bound)
    units = [[name] for name in videos] if units is None else units
    reach = round(bound * RATE)
    even = {name: _evenly(video) for name, video in videos.items() if len(video.raters) > 1}
    raters = raters_of(even)
    shifts = dict.fromkeys(raters, 0.0)
    sums: dict[str, dict[str, np.ndarray]] = {}
    for _ in range(ROUNDS):
        sums = _sums(even, shifts, reach)
        # the mean of the others moves too: this step is the one that brings all together at once
        step = (len(raters) - 1) / max(len(raters), 1)
        peaks = {rater: _peak(_total(of)) for rater, of in sums.items()}
        clear = {
            r: shifts[r] + step * (lag - shifts[r]) for r, (lag, warning) in peaks.items() if not warning
        }
        middle = float(np.median([*clear.values()])) if clear else 0.0
        before, shifts = shifts, {r: clear[r] - middle if r in clear else 0.0 for r in raters}
        if all(abs(shifts[r] - before[r]) < CLOSE for r in raters):
            break
    drawn = _drawn({rater: sums[rater] for rater in clear}, units, seed)
    found = {}
    for rater in raters:
        warning, curve = peaks[rater][1], _total(sums[rater])
        if warning:
            found[rater] = Delay(None, None, None, curve, warning)
            continue
        frames = [sum(len(even[v].times) for v in of if v in sums[rater]) for of in units]
        obstacle = interval_obstacle([Moments(n=n) for n in frames], unit)
        low, high = (None, None) if obstacle else (shifts[rater] + step * drawn[rater]).tolist()
        found[rater] = Delay(shifts[rater], low, high, curve, '', obstacle)
    return found


def check_bound(bound: float) -> None:
    """Refuse a largest delay, in seconds, that cannot be looked for: ConfigError."""
    if not 1 <= bound <= 60:
        raise ConfigError(f'a largest delay of {bound:g} s: it must be from 1 to 60 s')


def at_other_times(values: np.ndarray, times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values between those that are known, by straight lines; NaN outside, and beside a NaN.

    Args:
        values: (frames,).
        times: (frames,) seconds, rising.
        wanted: seconds.
    """
    return np.asarray(np.interp(wanted, times, values, left=np.nan, right=np.nan))


def _evenly(video: VideoRatings) -> VideoRatings:
    """So many values a second, each rater about its own mean, so that nobody's absence is a step."""
    times = np.arange(video.times[0], video.times[-1] + 0.5 / RATE, 1 / RATE)
    values = np.stack([at_other_times(of, video.times, times) for of in video.values])
    there = np.isfinite(values)
    means = np.where(there, values, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return VideoRatings(video.raters, values - means[:, None], times)


def _sums(
    videos: Mapping[str, VideoRatings], shifts: Mapping[str, float], reach: int
) -> dict[str, dict[str, np.ndarray]]:
    """By rater and video the sums of ``_windows`` against the mean of the others without their delays."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, (raters, values, times) in videos.items():
        pairs = zip(raters, values, strict=True)
        aligned = np.stack([at_other_times(of, times, times + shifts[rater]) for rater, of in pairs])
        for i, rater in enumerate(raters):
            others = mean_of_those(np.delete(aligned, i, axis=0))
            found.setdefault(rater, {})[name] = _windows(values[i], others, reach)
    return found


def _windows(x: np.ndarray, y: np.ndarray, reach: int) -> np.ndarray:
    """Sums over windows of covariance and variances of x, so many values later, and y, (3, lags)."""
    n, width = len(y), min(round(WINDOW * RATE), len(y))
    starts = np.unique(np.append(np.arange(0, n - width + 1, max(width // 2, 1)), n - width))
    a, of_a = _filled(np.pad(x, reach, constant_values=np.nan))
    b, of_b = _filled(y)
    # (3, windows, lags, width) @ (windows, width, 3): each kind of x with each kind of y
    later = sliding_window_view(np.stack([a, of_a, a * a]), width, axis=1)
    later = later[:, starts[:, None] + np.arange(2 * reach + 1)]
    others = sliding_window_view(np.stack([of_b, b, b * b]), width, axis=1)[:, starts].transpose(1, 2, 0)
    (sum_a, ab, _), (pairs, sum_b, bb), (aa, _, _) = np.moveaxis(later @ others, -1, 1)
    full = 2 * pairs >= width  # half of a window, or more, is there
    count = np.maximum(pairs, 1)
    parts = ab - sum_a * sum_b / count, aa - sum_a**2 / count, bb - sum_b**2 / count
    return np.stack([np.where(full, part, 0.0).sum(axis=0) for part in parts])


def _filled(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values with 0 where there is none, and 1 where there is one."""
    there = np.isfinite(values)
    return np.where(there, values, 0.0), there.astype(np.float64)


def _total(sums: Mapping[str, np.ndarray]) -> np.ndarray:
    """Correlation at each lag over all videos, (lags,)."""
    return _curves(np.sum([*sums.values()], axis=0))


def _curves(sums: np.ndarray) -> np.ndarray:
    """Correlation at each lag, (..., lags), of sums (..., 3, lags); 0 where nothing moves."""
    covariance, of_x, of_y = np.moveaxis(sums, -2, 0)
    scale = np.sqrt(np.maximum(of_x, 0) * np.maximum(of_y, 0))
    return np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 1e-9)


def _lags(curves: np.ndarray) -> np.ndarray:
    """Seconds at which curves (curves, lags) are highest: the tops of parabolas through three values."""
    best = curves.argmax(axis=1)
    inner = np.clip(best, 1, curves.shape[1] - 2)
    before, at, after = (np.take_along_axis(curves, inner[:, None] + k, axis=1)[:, 0] for k in (-1, 0, 1))
    bend = 2 * at - before - after
    off = np.divide(after - before, 2 * bend, out=np.zeros_like(bend), where=bend > 0)
    top = np.where(inner == best, inner + np.clip(off, -0.5, 0.5), best)
    return np.asarray((top - curves.shape[1] // 2) / RATE)


def _peak(curve: np.ndarray) -> tuple[float, str]:
    """The lag of the highest correlation in seconds, and what is wrong with it."""
    best, height = int(curve.argmax()), float(curve.max())
    wide = np.count_nonzero(curve >= 0.9 * height) / RATE
    warning = ''
    if not curve.any():
        warning = 'no delay can be found: no window in which this rater and others rate, and move'
    elif height < LEAST:
        warning = f'its correlation with the others is {height:.2f} at most: no delay can be found'
    elif best in (0, len(curve) - 1):
        end = abs(best - len(curve) // 2) / RATE
        warning = f'its correlation with the others is highest at the bound of {end:g} s: look further'
    elif wide > FLAT:
        warning = f'flat peak: within a tenth of the highest correlation over {wide:.1f} s, no delay is clear'
    return float(_lags(curve[None])[0]), warning


def _drawn(
    sums: Mapping[str, Mapping[str, np.ndarray]], units: Sequence[Sequence[str]], seed: int
) -> dict[str, np.ndarray]:
    """By rater, how far 95 % of the peaks of draws of units reach below and above that of all, (2,) seconds.

    The peaks of all raters of a draw are taken together: their median, which delays are measured from,
    differs from draw to draw as well.
    """
    units = [unit for unit in units if any(v in of for of in sums.values() for v in unit)]
    if not units:
        return dict.fromkeys(sums, np.zeros(2))
    nothing = np.zeros_like(next(iter(next(iter(sums.values())).values())))
    rows = np.stack(
        [
            [np.sum([of.get(video, nothing) for video in unit], axis=0) for unit in units]
            for of in sums.values()
        ]
    )  # (raters, units, 3, lags)
    count = len(units)
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    curves = [_curves(np.tensordot(np.vstack([np.ones(count), weights]), of, 1)) for of in rows]
    peaks = np.stack([_lags(of) for of in curves])
    there = np.stack([of.any(axis=1) for of in curves])
    peaks = np.where(there, peaks, peaks[:, :1])  # a draw without videos of a rater says nothing new
    apart = peaks - np.median(peaks, axis=0)
    ends = np.quantile(apart[:, 1:], [0.025, 0.975], axis=1).T - apart[:, :1]
    return dict(zip(sums, ends, strict=True))
