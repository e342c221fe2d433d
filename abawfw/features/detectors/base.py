"""What every face detector does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FACES = 'faces'
"""Name of the options of the detector, and of the settings of a store that say where its faces come from."""
OFFICIAL = 'official crops'
"""In the place of a detector's name, where faces were cut out by somebody else."""


@dataclass(frozen=True)
class Face:
    """One face in one picture.

    Attributes:
        box: (4,) float32: left, top, right, bottom in pixels of the picture given; may reach over its edge.
        points: (5, 2) float32: (x, y) of the eye on the left of the picture, the eye on its right, the tip of
            the nose, the left and the right corner of the mouth.
        score: confidence within [0, 1].
    """

    box: NDArray[np.float32]
    points: NDArray[np.float32]
    score: float

    def scaled(self, factor: float) -> Face:
        """The same face in a picture ``factor`` times as large."""
        return Face(self.box * np.float32(factor), scaled_points(self.points, factor), self.score)


def scaled_points(points: NDArray, factor: NDArray | float) -> NDArray[np.float32]:
    """Places in a picture ``factor`` times as large, whole numbers being the centres of pixels."""
    return ((points + 0.5) * factor - 0.5).astype(np.float32)


class FaceDetector(ABC):
    """Finds faces in a picture, and follows known ones into the next picture at a fraction of the cost.

    What one frame shows is weak evidence: foliage, digits and balls pass for a face now and then. Which
    tracks are of a face, the detector says on its own scale of scores.

    Attributes:
        longest: long side in pixels to which pictures are shrunk before they are given; None takes any size.
        confidence: median score that a person's track must have; 0 takes any.
        shortest: seconds for which the person must be found, or half of the video where that is less; 0 takes
            a single frame.
    """

    longest: int | None = None
    confidence: float = 0.0
    shortest: float = 0.0

    @abstractmethod
    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        """Every face of a picture.

        Args:
            rgb: (height, width, 3), upright.

        Returns:
            The faces in no particular order; none is an empty list.
        """

    @abstractmethod
    def refine(self, rgb: NDArray[np.uint8], boxes: NDArray[np.float32]) -> list[Face | None]:
        """The faces near where they were one picture ago.

        Args:
            rgb: (height, width, 3), upright.
            boxes: (faces, 4) of the picture before.

        Returns:
            One entry per box; None where no face is there any more.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Plain values that decide what is found; kept with the features."""

    @abstractmethod
    def check(self) -> None:
        """Say what is missing before hours of work.

        Raises:
            DataError: a package or file that the detector needs is missing or another one.
        """


def recorded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a detector as a store has them, complete.

    Version 0.1.0 recorded neither ``confidence`` nor ``shortest``, since it took every track for a face.
    Official crops have no tracks.
    """
    if not settings or settings.get('detector') == OFFICIAL:
        return dict(settings)
    return {'confidence': 0.0, 'shortest': 0.0, **settings}
