"""The moving mean with exponential weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from abawfw.evaluation.postprocess.base import Postprocessor, duration
from abawfw.registry import POSTPROCESSORS


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
