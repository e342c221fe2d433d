"""Labels that behave like those of Aff-Wild2 (statistics: docs/challenge.md)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtri

MEAN = np.array([0.07, 0.345])
"""Of valence and arousal before squashing with tanh; with SPREAD gives .07/.40 and .30/.30 after it."""
SPREAD = np.array([0.48, 0.372])
BETWEEN = np.array([0.45, 0.32])
"""Share of the variance that is the video's offset; with the slow emotion, .50 and .37 lie between videos."""
CORRELATION = 0.25
"""Between the targets, of videos and of frames. The specification gives no value: weak, as emotions are."""

# Two time scales and the inertia of the annotator's hand, in frames: fitted to the autocorrelation
# .998 / .948 / .819 / .565 / .323 at lags 1 / 10 / 30 / 100 / 300.
TIME_SCALES = (45.0, 800.0)
FAST_SHARE = 0.36
INERTIA = 8.5
# The hand rests for two thirds of the frames.
MEAN_HOLD, MEAN_MOVE = 13.0, 7.0


def draw_state(rng: np.random.Generator, offset: NDArray, num_frames: int) -> NDArray[np.float64]:
    """What the annotator's hand shows, before squashing: (frames, 2) valence and arousal.

    Args:
        rng: Source of everything random.
        offset: (2,) standard normal offsets of the video, correlated.
        num_frames: Length of the video.
    """
    within = correlate(np.stack([_emotion(rng, num_frames) for _ in range(2)], axis=1))
    times = np.arange(num_frames)
    for target in range(2):
        within[:, target] = np.interp(_annotation_clock(rng, num_frames), times, within[:, target])
    return MEAN + SPREAD * (np.sqrt(BETWEEN) * offset + np.sqrt(1 - BETWEEN) * within)


def to_labels(state: NDArray[np.float64]) -> NDArray[np.float32]:
    """Labels (frames, 2) in [-1, 1] with three decimals."""
    return np.round(np.tanh(state), 3).astype(np.float32)


def draw_offsets(rng: np.random.Generator, num_videos: int) -> NDArray[np.float64]:
    """Offsets (videos, 2): normal quantiles, so that a small set has the spread of a large one."""
    quantiles = ndtri((np.arange(num_videos) + 0.5) / num_videos)
    quantiles /= max(quantiles.std(), 1e-9)
    first = rng.permutation(quantiles)
    # of some permutations the one that is least correlated with the first by chance
    second = min((rng.permutation(quantiles) for _ in range(50)), key=lambda values: abs(values @ first))
    return correlate(np.stack([first, second], axis=1))


def correlate(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make the second of two independent columns follow the first a little; variances stay."""
    second = CORRELATION * columns[:, 0] + np.sqrt(1 - CORRELATION**2) * columns[:, 1]
    return np.stack([columns[:, 0], second], axis=1)


def slow_noise(rng: np.random.Generator, num_frames: int, time_scale: float, inertia: float = 0.0) -> NDArray:
    """Stationary noise (frames,) of variance 1 that forgets in ``time_scale`` frames, with inertia."""
    poles = [np.exp(-1 / time_scale)] + ([np.exp(-1 / inertia)] if inertia else [])
    denominator = np.poly(poles)
    warm_up = int(6 * time_scale)
    response = lfilter([1.0], denominator, np.eye(1, 2 * warm_up + 100)[0])
    drawn = lfilter([1.0], denominator, rng.standard_normal(warm_up + num_frames))
    return drawn[warm_up:] / np.sqrt((response**2).sum())


def _emotion(rng: np.random.Generator, num_frames: int) -> NDArray[np.float64]:
    """One target within a video: mean 0, variance 1, two time scales."""
    fast, slow = (slow_noise(rng, num_frames, scale, INERTIA) for scale in TIME_SCALES)
    return np.sqrt(FAST_SHARE) * fast + np.sqrt(1 - FAST_SHARE) * slow


def _annotation_clock(rng: np.random.Generator, num_frames: int) -> NDArray[np.float64]:
    """The moment (frames,) that the hand shows at each frame: it rests, then catches up, again and again."""
    cycles = int(2 * num_frames / (MEAN_HOLD + MEAN_MOVE)) + 8
    holds = 1 + rng.geometric(1 / MEAN_HOLD, cycles)
    moves = rng.geometric(1 / MEAN_MOVE, cycles)
    ends = np.cumsum(holds + moves)
    starts = ends - holds - moves
    frames = np.stack([starts, starts + holds], axis=1).ravel()
    shown = np.stack([starts, starts], axis=1).ravel()
    return np.interp(np.arange(num_frames) - rng.integers(0, 20) + 20, frames, shown) - 20
