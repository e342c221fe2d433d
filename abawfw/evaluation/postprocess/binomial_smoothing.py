"""The moving mean with binomial weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from abawfw.evaluation.functional import smooth
from abawfw.evaluation.postprocess.base import Postprocessor, whole_option
from abawfw.registry import POSTPROCESSORS


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
