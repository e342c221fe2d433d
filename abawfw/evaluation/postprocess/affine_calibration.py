"""Predictions with mean and spread of the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from abawfw.errors import ConfigError
from abawfw.evaluation.functional import Moments, calibration
from abawfw.evaluation.postprocess.base import Postprocessor
from abawfw.registry import POSTPROCESSORS

LARGEST = 1e100  # far beyond what a fit gives, and small enough that no product with a prediction overflows


@POSTPROCESSORS.register_module()
class AffineCalibration(Postprocessor):
    """``slope * prediction + intercept``, which gives predictions mean and variance of the labels of val.

    On the frames it is fitted on, CCC equals PCC after it, where that is positive; predictions that do not
    rise with the labels are only shifted.

    Args:
        slope: None to fit both on val, as ``tools/test.py`` does.
        intercept: given if and only if the slope is.

    Raises:
        ConfigError: only one of them is given, or one that is no number from -1e100 to 1e100.
    """

    slot: ClassVar[str] = 'calibration'
    grid: ClassVar[Sequence[Mapping[str, Any]]] = [{}]

    def __init__(self, slope: float | None = None, intercept: float | None = None) -> None:
        if (slope is None) != (intercept is None):
            raise ConfigError(
                f'AffineCalibration(slope={slope}, intercept={intercept}): give both, or none '
                'to fit them on val'
            )
        for name, value in (('slope', slope), ('intercept', intercept)):
            if value is not None and not (isinstance(value, (int, float)) and abs(value) <= LARGEST):
                raise ConfigError(
                    f'AffineCalibration({name}={value!r}): it must be a finite number, '
                    f'from {-LARGEST:g} to {LARGEST:g}'
                )
        self.slope = slope
        self.intercept = intercept

    @property
    def fitted(self) -> bool:
        """Whether it has a slope and an intercept."""
        return self.slope is not None

    def fit(self, of: Moments) -> AffineCalibration:
        """The calibration that suits these statistics."""
        found = calibration(of)
        return AffineCalibration(found.slope, found.intercept)

    def _process(self, x: np.ndarray, faces: np.ndarray | None) -> np.ndarray:
        if self.slope is None or self.intercept is None:
            raise ConfigError(
                'AffineCalibration is not fitted; python tools/test.py RUN fits it on val, or give its slope '
                'and intercept'
            )
        return self.slope * x + self.intercept
