"""The moving median."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from abawfw.evaluation.postprocess.base import Postprocessor, whole_option
from abawfw.registry import POSTPROCESSORS


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
