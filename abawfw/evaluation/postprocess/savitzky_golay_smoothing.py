"""Moving polynomials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from abawfw.errors import ConfigError
from abawfw.evaluation.postprocess.base import Postprocessor, whole_number
from abawfw.registry import POSTPROCESSORS


@POSTPROCESSORS.register_module()
class SavitzkyGolaySmoothing(Postprocessor):
    """Value of the polynomial that fits the frames around each frame best; it keeps peaks better than a mean.

    The outermost frames lie on the polynomial of the first and of the last whole window; a video shorter than
    that has one polynomial, of its own length. Source: Savitzky and Golay 1964.

    Args:
        window: frames on one side; 0, with order 0, changes nothing.
        order: degree of the polynomial, at most 2 window.

    Raises:
        ConfigError: an argument is no whole number from 0 on, or the order is too high for the window.
    """

    grid: ClassVar[Sequence[Mapping[str, Any]]] = [
        {'window': 0, 'order': 0},
        *({'window': w, 'order': 2} for w in range(10, 200, 10)),
    ]

    def __init__(self, window: int, order: int) -> None:
        self.window = whole_number('SavitzkyGolaySmoothing', 'window', window)
        self.order = whole_number('SavitzkyGolaySmoothing', 'order', order)
        if self.order > 2 * self.window:
            raise ConfigError(
                f'SavitzkyGolaySmoothing(window={window}, order={order}): {2 * self.window + 1} frames fix a '
                f'polynomial of degree {2 * self.window} at most'
            )

    def _process(self, x: np.ndarray, faces: np.ndarray | None) -> np.ndarray:
        from scipy.signal import savgol_filter  # here: importing this room must stay light

        width = 2 * self.window + 1
        if len(x) >= width:
            return np.asarray(savgol_filter(x, width, self.order, mode='interp'))
        frames = np.linspace(-1, 1, len(x)) if len(x) > 1 else np.zeros(1)
        degree = min(self.order, len(x) - 1)
        return np.polynomial.legendre.legval(frames, np.polynomial.legendre.legfit(frames, x, degree))
