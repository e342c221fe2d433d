"""Curves of a video over time: assembled from clips, smoothed, and where something holds without a gap."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isqrt
from typing import Any

import numpy as np

from abawfw.errors import ConfigError, DataError

KERNELS = ('mean', 'binomial')


def smooth(x: Any, window: int, kernel: str = 'mean') -> np.ndarray:
    """Weighted mean over the frames ``t - window .. t + window`` of a video.

    ``mean`` weighs the frames equally; at the ends of the video, the frames that exist are averaged. Its cost
    does not depend on ``window``.

    ``binomial`` weighs them by C(2 window, k) / 4^window. As in the reference, weights that fall beyond the
    ends of a video are lost, which shrinks the outermost frames towards 0, by almost a half. Where a video is
    shorter than the whole window, which the reference cannot smooth, the remaining weights are scaled to sum
    to 1.

    Args:
        x: (frames,) or (frames, columns).
        window: frames on one side; 50 stands for 101 frames in all.
        kernel: 'mean' or 'binomial'.

    Returns:
        The smoothed sequence, of the shape of ``x``, float64. Source: RUCAIM3, arXiv:2203.13032.

    Raises:
        ConfigError: unknown kernel, or a window that is no whole number from 0 on.
        DataError: ``x`` has another shape or holds NaN or infinity.

    >>> smooth([0.0, 3.0, 6.0], 1)
    array([1.5, 3. , 4.5])
    """
    x = np.asarray(x, dtype=np.float64)
    if kernel not in KERNELS:
        raise ConfigError(f'no smoothing kernel {kernel!r}; there are {", ".join(KERNELS)}')
    if int(window) != window or window < 0:
        raise ConfigError(f'smoothing window {window!r}: it must be a whole number of frames, 0 or more')
    if x.ndim not in (1, 2):
        raise DataError(
            f'cannot smooth an array of shape {x.shape}: it must be (frames,) or (frames, columns)'
        )
    if not np.isfinite(x).all():
        frame = int(np.argmin(np.isfinite(x.reshape(len(x), -1)).all(axis=1)))
        raise DataError(f'cannot smooth a sequence that is not finite, first in frame {frame}')
    if not len(x) or window == 0:
        return x.copy()
    return _mean(x, int(window)) if kernel == 'mean' else _binomial(x, int(window))


def smooth_and_clip(x: Any, window: int, kernel: str = 'mean') -> np.ndarray:
    """Smooth raw predictions, then clip them to [-1, 1]: the order of the reference. Raises as ``smooth``."""
    return np.clip(smooth(x, window, kernel), -1.0, 1.0)


def _mean(x: np.ndarray, window: int) -> np.ndarray:
    n = len(x)
    # Running sums about the mean stay small, so that their differences keep their digits in long videos.
    centre = x.mean(axis=0)
    sums = np.empty((n + 1, *x.shape[1:]))
    sums[0] = 0.0
    np.cumsum(x - centre, axis=0, out=sums[1:])
    width = 2 * window + 1
    result = np.empty_like(x)
    ends = np.arange(n)
    if n >= width:
        inner = result[window : n - window]
        np.subtract(sums[width:], sums[:-width], out=inner)
        inner /= width
        ends = np.concatenate([ends[:window], ends[n - window :]])
    start, stop = np.maximum(ends - window, 0), np.minimum(ends + window + 1, n)
    result[ends] = (sums[stop] - sums[start]) / (stop - start).reshape(-1, *[1] * (x.ndim - 1))
    result += centre
    return result


def _binomial(x: np.ndarray, window: int) -> np.ndarray:
    from scipy.signal import oaconvolve  # here: importing this room must stay light

    columns, weights = x.reshape(len(x), -1), _binomial_weights(window)[:, None]
    result = oaconvolve(columns, weights, 'same', axes=0)
    if len(x) < 2 * window + 1:
        result /= oaconvolve(np.ones((len(x), 1)), weights, 'same', axes=0)
    return np.asarray(result).reshape(x.shape)


def _binomial_weights(window: int) -> np.ndarray:
    """Each from the one before it, outwards: the whole numbers of a large window have too many digits.

    Weights k frames away are about exp(-k^2 / window) of the largest; those below 1e-43 of it are omitted.
    """
    k = np.arange(1, min(window, 10 * isqrt(window) + 10) + 1)
    half = np.cumprod((window - k + 1) / (window + k))
    weights = np.concatenate([half[::-1], [1.0], half])
    return weights / weights.sum()


def triangle(frames: int) -> np.ndarray:
    """Weights (frames,) of a clip that fall evenly from 1 in its middle."""
    return 1 - np.abs(np.arange(frames) - (frames - 1) / 2) / (frames / 2)


def gaussian(frames: int) -> np.ndarray:
    """Weights (frames,) of a clip: a normal curve about its middle, standard deviation .22 of them."""
    return np.exp(-0.5 * ((np.arange(frames) - (frames - 1) / 2) / (0.22 * frames)) ** 2)


CLIP_WEIGHTS: dict[str, Callable[[int], np.ndarray]] = {
    'uniform': np.ones,
    'triangle': triangle,
    'gaussian': gaussian,
}
"""What the frames of a clip count where clips overlap (team RAS, arXiv:2603.13056): (frames) -> (frames,)."""


def assemble(
    entries: Iterable[tuple[int, np.ndarray]],
    num_frames: int,
    video_id: str,
    weights: Callable[[int], np.ndarray] = np.ones,
) -> np.ndarray:
    """Weighted mean over the clips that cover a frame.

    Args:
        entries: first frame of a clip and its values, (clip frames, columns); clips may overlap.
        num_frames: length of the video.
        video_id: for messages.
        weights: of the frames of a clip, by its number of frames: one of ``CLIP_WEIGHTS``.

    Returns:
        (num_frames, columns), float64.

    Raises:
        DataError: a clip reaches beyond the video, or a frame is covered by none.

    >>> assemble([(0, np.array([[1.0], [1.0]])), (1, np.array([[3.0], [3.0]]))], 3, 'v').ravel()
    array([1., 2., 3.])
    """
    total: np.ndarray | None = None
    count = np.zeros(num_frames)
    for start, values in entries:
        stop = start + len(values)
        if start < 0 or stop > num_frames:
            raise DataError(
                f'video {video_id}: a clip covers frames {start} to {stop - 1}, but there are {num_frames}'
            )
        if total is None:
            total = np.zeros((num_frames, *values.shape[1:]))
        weight = weights(len(values))
        total[start:stop] += values * weight.reshape(-1, *[1] * (values.ndim - 1))
        count[start:stop] += weight
    missing = np.flatnonzero(count == 0)
    if total is None or len(missing):
        first = f'first frame {missing[0]}' if len(missing) else 'it has no frame'
        raise DataError(
            f'video {video_id}: {len(missing)} of {num_frames} frames are covered by no clip, {first}'
        )
    return total / count.reshape(-1, *[1] * (total.ndim - 1))


def stretches(holds: Any) -> np.ndarray:
    """First frame, and frame after the last, of every unbroken run of True.

    Args:
        holds: (frames,) bool.

    Returns:
        (runs, 2) int, in order.

    >>> stretches([True, True, False, True]).tolist()
    [[0, 2], [3, 4]]
    """
    edges = np.diff(np.concatenate([[False], np.asarray(holds, dtype=bool), [False]]).astype(np.int8))
    return np.flatnonzero(edges).reshape(-1, 2)
