"""Moving polynomials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from abawfw.errors import ConfigError
from abawfw.evaluation.postprocess.base import Postprocessor, whole_option
from abawfw.registry import POSTPROCESSORS

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
