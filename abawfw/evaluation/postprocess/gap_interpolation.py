"""Straight lines where there was no face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from abawfw.errors import DataError
from abawfw.evaluation.functional import stretches
from abawfw.evaluation.postprocess.base import Postprocessor, whole_option
from abawfw.registry import POSTPROCESSORS


@POSTPROCESSORS.register_module()
class GapInterpolation(Postprocessor):
    """Predictions of frames without a face give way to a straight line between the nearest frames with one.

    At the ends of a video, where there is one neighbour only, its prediction is held. A video without any
    face stays as it is.

    Args:
        limit: frames of the longest gap that is bridged; predictions in longer ones stay. 0 changes nothing.

    Raises:
        ConfigError: the limit is no whole number from 0 to 1e9.
    """

    slot: ClassVar[str] = 'gaps'
    grid: ClassVar[Sequence[Mapping[str, Any]]] = [{'limit': n} for n in (0, 5, 15, 30, 75, 150, 300)]

    def __init__(self, limit: int) -> None:
        self.limit = whole_option('GapInterpolation', 'limit', limit)

    def _process(self, x: np.ndarray, faces: np.ndarray | None) -> np.ndarray:
        if faces is None:
            raise DataError(
                'GapInterpolation needs the frames without a face, which are unknown: the run has no feature '
                'of faces that records where it was observed; remove GapInterpolation from postprocess in '
                'the config of the run, or from --search'
            )
        result = x.copy()
        if faces.any():
            frames = np.arange(len(x))
            lines = np.interp(frames, frames[faces], x[faces])
            for start, stop in stretches(~faces):
                if stop - start <= self.limit:
                    result[start:stop] = lines[start:stop]
        return result
