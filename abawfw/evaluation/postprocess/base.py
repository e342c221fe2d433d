"""One step of post-processing: what all of them share."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from abawfw.errors import ConfigError, DataError, counted
from abawfw.evaluation.functional import Moments

SLOTS = ('gaps', 'smoothing', 'calibration')
"""The order in which a search puts steps one after another."""

LONGEST = 10**9
"""Frames of a window: a year of video. What is longer is a slip, and sums of positions stay whole numbers."""


class Postprocessor(ABC):
    """A step from the predictions of a video to better ones.

    A subclass keeps every argument under its own name, which is how a step is written down. Steps do not
    change: fitting one gives another.

    Attributes:
        slot: one of ``SLOTS``; a search takes one step per slot.
        grid: arguments that a search tries.
    """

    slot: ClassVar[str] = 'smoothing'
    grid: ClassVar[Sequence[Mapping[str, Any]]] = ()

    def __call__(self, pred: Any, faces: Any = None) -> np.ndarray:
        """Process one video.

        Args:
            pred: (frames,), finite.
            faces: (frames,) bool, True where a face was found; None where that is unknown.

        Returns:
            (frames,) float64; not clipped.

        Raises:
            DataError: another shape, a prediction that is not finite, or no ``faces`` for a step that needs
                them.
            ConfigError: the step is not fitted.
        """
        x = np.asarray(pred, dtype=np.float64)
        if x.ndim != 1:
            raise DataError(f'predictions of shape {x.shape}: they must be (frames,)')
        if not np.isfinite(x).all():
            raise DataError(f'predictions are not finite, first in frame {np.argmin(np.isfinite(x))}')
        if faces is not None:
            faces = np.asarray(faces, dtype=bool)
            if faces.shape != x.shape:
                raise DataError(
                    f'{counted(len(x), "prediction")}, but a mask of faces of shape {faces.shape}'
                )
        return self._process(x, faces) if len(x) else x.copy()

    @abstractmethod
    def _process(self, x: np.ndarray, faces: np.ndarray | None) -> np.ndarray:
        """Process a frame or more."""

    @property
    def fitted(self) -> bool:
        """Whether it can be used as it is."""
        return True

    def fit(self, of: Moments) -> Postprocessor:
        """The step that suits labels and predictions of these statistics, those of all videos together."""
        return self

    def settings(self) -> dict[str, Any]:
        """What a config says of it: type and arguments, without those that are None."""
        names = inspect.signature(type(self)).parameters
        values = {name: getattr(self, name) for name in names}
        return {'type': type(self).__name__, **{k: v for k, v in values.items() if v is not None}}

    def __str__(self) -> str:
        values = self.settings()
        name = values.pop('type')
        texts = (f'{k}={f"{v:.6g}" if isinstance(v, float) else v}' for k, v in values.items())
        return f'{name}({", ".join(texts)})'


def whole_option(component: str, name: str, value: Any, most: int = LONGEST, unit: str = ' of frames') -> int:
    """A number of frames, or of something else.

    Raises:
        ConfigError: it is no whole number from 0 to ``most``.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ConfigError(
            f'{component}({name}={value!r}): it must be a whole number{unit}, from 0 to {most:,}'
        )
    return value


def duration(component: str, name: str, value: Any) -> float:
    """A length of time in frames.

    Raises:
        ConfigError: it is no number from 0 to ``LONGEST``.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= LONGEST:
        raise ConfigError(
            f'{component}({name}={value!r}): it must be a finite number of frames, from 0 to {LONGEST:,}'
        )
    return float(value)
