"""Smoothing: the moving mean and its relatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from abawfw.errors import ConfigError
from abawfw.evaluation.functional import smooth
from abawfw.evaluation.postprocess.base import Postprocessor, duration, whole_option
from abawfw.registry import POSTPROCESSORS


@POSTPROCESSORS.register_module()
class MeanSmoothing(Postprocessor):
    """Mean over the frames around each frame; at the ends of a video, of those that exist.

    The smoothing of RUCAIM3 (arXiv:2203.13032), and the windows among which it searches
    (docs/rucaim3.md, Inference).

    Args:
        window: frames on one side; 50 stands for 101 frames in all, 0 changes nothing.

    Raises:
        ConfigError: the window is no whole number from 0 to 1e9.
    """

    grid: ClassVar[Sequence[Mapping[str, Any]]] = [{'window': w} for w in range(0, 100, 5)]

    def __init__(self, window: int) -> None:
        self.window = whole_option('MeanSmoothing', 'window', window)

    def _process(self, x: np.ndarray, faces: np.ndarray | None) -> np.ndarray:
        return smooth(x, self.window)


@POSTPROCESSORS.register_module()
class BinomialSmoothing(Postprocessor):
    """Mean over the frames around each frame with binomial weights; at the ends, of those that exist.

    The weights are C(2 window, k) / 4^window, almost those of a Gaussian with sigma = sqrt(window / 2).
    Unlike in the reference, and in ``smooth``, weights that fall beyond the ends are not lost: those that
    remain are scaled to sum to 1.

    Args:
        window: frames on one side; 0 changes nothing.

    Raises:
        ConfigError: the window is no whole number from 0 to 1e9.
    """

    grid: ClassVar[Sequence[Mapping[str, Any]]] = [
        {'window': w} for w in (0, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
    ]

    def __init__(self, window: int) -> None:
        self.window = whole_option('BinomialSmoothing', 'window', window)

    def _process(self, x: np.ndarray, faces: np.ndarray | None) -> np.ndarray:
        return smooth(x, self.window, 'binomial') / smooth(np.ones_like(x), self.window, 'binomial')


@POSTPROCESSORS.register_module()
class ExponentialSmoothing(Postprocessor):
    """Mean over all frames with weights that fall exponentially, both ways, with the distance in time.

    The weight of a frame k frames away is exp(-k / time_constant). Looking both ways, nothing comes late. The
    mean is over the frames that exist.

    Args:
        time_constant: frames after which a weight has fallen to 37 %; 0 changes nothing.

    Raises:
        ConfigError: the time constant is no number from 0 to 1e9.
    """

    grid: ClassVar[Sequence[Mapping[str, Any]]] = [
        {'time_constant': t} for t in (0, 1, 2, 3, 5, 7, 10, 15, 20, 25, 30, 40, 50, 60)
    ]

    def __init__(self, time_constant: float) -> None:
        self.time_constant = duration('ExponentialSmoothing', 'time_constant', time_constant)

    def _process(self, x: np.ndarray, faces: np.ndarray | None) -> np.ndarray:
        if not self.time_constant:
            return x.copy()
        return self._sums(x) / self._sums(np.ones_like(x))

    def _sums(self, x: np.ndarray) -> np.ndarray:
        from scipy.signal import lfilter  # here: importing this room must stay light

        decay = [1.0, -np.exp(-1.0 / self.time_constant)]
        before, after = lfilter([1.0], decay, x), lfilter([1.0], decay, x[::-1])[::-1]
        return np.asarray(before + after - x)


TRUNCATE = 4.0  # sigmas, beyond which weights are below 0.0004 of the largest


@POSTPROCESSORS.register_module()
class GaussianSmoothing(Postprocessor):
    """Mean over the frames around each frame with Gaussian weights; at the ends, of those that exist.

    Args:
        sigma: standard deviation of the weights in frames, which end at four of them; 0 changes nothing.

    Raises:
        ConfigError: sigma is no number from 0 to 1e9.
    """

    grid: ClassVar[Sequence[Mapping[str, Any]]] = [
        {'sigma': s} for s in (*range(0, 60, 3), 80, 110, 150, 200, 280, 400)
    ]

    def __init__(self, sigma: float) -> None:
        self.sigma = duration('GaussianSmoothing', 'sigma', sigma)

    def _process(self, x: np.ndarray, faces: np.ndarray | None) -> np.ndarray:
        from scipy.ndimage import gaussian_filter1d  # here: importing this room must stay light

        radius = min(int(TRUNCATE * self.sigma + 0.5), len(x) - 1)
        if not radius:
            return x.copy()
        total, weight = (
            gaussian_filter1d(values, self.sigma, mode='constant', radius=radius)
            for values in (x, np.ones_like(x))
        )
        return np.asarray(total / weight)


@POSTPROCESSORS.register_module()
class MedianSmoothing(Postprocessor):
    """Median of the frames around each frame; at the ends of a video, of those that exist.

    Args:
        window: frames on one side; 0 changes nothing.

    Raises:
        ConfigError: the window is no whole number from 0 to 1e9.
    """

    grid: ClassVar[Sequence[Mapping[str, Any]]] = [{'window': w} for w in range(0, 100, 5)]

    def __init__(self, window: int) -> None:
        self.window = whole_option('MedianSmoothing', 'window', window)

    def _process(self, x: np.ndarray, faces: np.ndarray | None) -> np.ndarray:
        from scipy.ndimage import median_filter  # here: importing this room must stay light

        w, n = self.window, len(x)
        if n <= 2 * w:
            return self._of_what_exists(x)
        result = median_filter(x, 2 * w + 1)
        # scipy has no border of fewer frames; each end depends on the 2 w frames next to it
        result[:w] = self._of_what_exists(x[: 2 * w])[:w]
        result[n - w :] = self._of_what_exists(x[n - 2 * w :])[w:]
        return np.asarray(result)

    def _of_what_exists(self, x: np.ndarray) -> np.ndarray:
        from pandas import Series

        rolling = Series(x).rolling(2 * self.window + 1, center=True, min_periods=1)
        return rolling.median().to_numpy()


LONGEST = 10**6  # frames: nine hours of video; so many weights are computed
WEIGHTS = ('equal', 'gaussian')


@POSTPROCESSORS.register_module()
class ReplicatedSmoothing(Postprocessor):
    """Mean over the frames around each frame; beyond its ends a video goes on with its first and last value.

    The smoothing of team RAS (arXiv:2603.13056), which in a mean over existing frames counts the ends less.

    Args:
        window: frames on one side, so that RAS's 7 and 13 frames are 3 and 6; 0 changes nothing.
        weights: ``equal``, or ``gaussian`` with a standard deviation of a sixth of all frames of the window.

    Raises:
        ConfigError: the window is no whole number from 0 to a million, or other weights.
    """

    grid: ClassVar[Sequence[Mapping[str, Any]]] = [
        {'window': n, 'weights': kind} for kind in WEIGHTS for n in range(0, 100, 5)
    ]

    def __init__(self, window: int, weights: str = 'equal') -> None:
        self.window = whole_option('ReplicatedSmoothing', 'window', window, LONGEST)
        if weights not in WEIGHTS:
            raise ConfigError(f'ReplicatedSmoothing(weights={weights!r}): choose from {", ".join(WEIGHTS)}')
        self.weights = weights

    def _process(self, x: np.ndarray, faces: np.ndarray | None) -> np.ndarray:
        offset = np.arange(-self.window, self.window + 1)
        kernel = np.ones(len(offset))
        if self.weights == 'gaussian':
            kernel = np.exp(-0.5 * (6 * offset / len(offset)) ** 2)
        kernel /= kernel.sum()
        near = min(self.window, len(x) - 1)  # beyond, a frame's neighbours are the first and last value alone
        far, kernel = kernel[: self.window - near].sum(), kernel[self.window - near : self.window + near + 1]
        return np.asarray(np.convolve(np.pad(x, near, mode='edge'), kernel, 'valid') + far * (x[0] + x[-1]))


MAX_ORDER = 10  # ten bends in a window follow the noise; and up to here, double precision fits any window


@POSTPROCESSORS.register_module()
class SavitzkyGolaySmoothing(Postprocessor):
    """Value of the polynomial that fits the frames around each frame best; it keeps peaks better than a mean.

    The outermost frames lie on the polynomial of the first and of the last whole window; a video shorter than
    that has one polynomial, of its own length. Source: Savitzky and Golay 1964.

    Args:
        window: frames on one side; 0, with order 0, changes nothing.
        order: degree of the polynomial, at most 2 window and at most 10.

    Raises:
        ConfigError: an argument is no whole number in its range, or the order is too high for the window.
    """

    grid: ClassVar[Sequence[Mapping[str, Any]]] = [
        {'window': 0, 'order': 0},
        *({'window': w, 'order': 2} for w in range(10, 200, 10)),
    ]

    def __init__(self, window: int, order: int) -> None:
        self.window = whole_option('SavitzkyGolaySmoothing', 'window', window)
        self.order = whole_option('SavitzkyGolaySmoothing', 'order', order, MAX_ORDER, '')
        if self.order > 2 * self.window:
            raise ConfigError(
                f'SavitzkyGolaySmoothing(window={window}, order={order}): {2 * self.window + 1} frames fix a '
                f'polynomial of degree {2 * self.window} at most'
            )

    def _process(self, x: np.ndarray, faces: np.ndarray | None) -> np.ndarray:
        width = min(2 * self.window + 1, len(x))
        # Not scipy.signal.savgol_filter: it fits powers of frame numbers, and is wrong from order 6 on for
        # windows of 400 frames. Orthogonal polynomials on [-1, 1] keep their digits.
        frames = np.linspace(-1, 1, width) if width > 1 else np.zeros(1)
        basis, _ = np.linalg.qr(np.polynomial.legendre.legvander(frames, min(self.order, width - 1)))
        first, last = (basis @ (basis.T @ part) for part in (x[:width], x[len(x) - width :]))
        if len(x) == width:
            return np.asarray(first)
        middle = np.convolve(x, basis @ basis[self.window], mode='valid')  # the weights are symmetric
        return np.concatenate([first[: self.window], middle, last[self.window + 1 :]])
