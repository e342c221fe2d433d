"""The moving mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from abawfw.evaluation.functional import smooth
from abawfw.evaluation.postprocess.base import Postprocessor, whole_option
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
