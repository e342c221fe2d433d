"""The moving mean of a video whose ends are replicated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from abawfw.errors import ConfigError
from abawfw.evaluation.postprocess.base import Postprocessor, whole_option
from abawfw.registry import POSTPROCESSORS

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
