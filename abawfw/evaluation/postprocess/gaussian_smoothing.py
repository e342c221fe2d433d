"""The moving mean with Gaussian weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from abawfw.evaluation.postprocess.base import Postprocessor, duration
from abawfw.registry import POSTPROCESSORS

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
