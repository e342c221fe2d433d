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
DETECTOR = 'MTCNNDetector'
"""The detector that finds them where no other is named."""
OFFICIAL = 'official crops'
"""In place of a detector's name, where faces were cropped by others."""


@dataclass(frozen=True)
class Face:
    """One face in one image.

    Attributes:
        box: (4,) float32: left, top, right, bottom in pixels of the image given; may reach over its edge.
        points: (5, 2) float32: (x, y) of the eye on the left of the image, the eye on its right, the tip of
            the nose, the left and the right corner of the mouth.
        score: confidence within [0, 1].
    """

    box: NDArray[np.float32]
    points: NDArray[np.float32]
    score: float

    def scaled(self, factor: float) -> Face:
        """The same face in an image ``factor`` times as large."""
        return Face(self.box * np.float32(factor), scaled_points(self.points, factor), self.score)


def scaled_points(points: NDArray, factor: NDArray | float) -> NDArray[np.float32]:
    """Places in an image ``factor`` times as large, whole numbers being the centres of pixels."""
    return ((points + 0.5) * factor - 0.5).astype(np.float32)


class FaceDetector(ABC):
    """Finds faces in an image, and follows known ones into the next image at a fraction of the cost.

    What one frame shows is weak evidence: foliage, digits and balls pass for a face now and then. Which
    tracks are of a face, the detector says on its own scale of scores.

    Attributes:
        longest: long side in pixels to which images are shrunk before they are given; None takes any size.
        confidence: median score that a person's track must have; 0 takes any.
        shortest: seconds for which the person must be found, or half of the video where that is less; 0 takes
            a single frame.
        notes: what is to be known of how it runs here, a line each.
    """

    longest: int | None = None
    confidence: float = 0.0
    shortest: float = 0.0
    notes: tuple[str, ...] = ()

    @abstractmethod
    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        """Every face of an image.

        Args:
            rgb: (height, width, 3), upright.

        Returns:
            The faces in no particular order; none is an empty list.
        """

    @abstractmethod
    def refine(self, rgb: NDArray[np.uint8], boxes: NDArray[np.float32]) -> list[Face | None]:
        """The faces near where they were one image ago.

        Args:
            rgb: (height, width, 3), upright.
            boxes: (faces, 4) of the image before.

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


def overlaps(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """Intersection over union of every box of ``a`` with every box of ``b``, (len(a), len(b))."""
    a, b = np.asarray(a, np.float64).reshape(-1, 1, 4), np.asarray(b, np.float64).reshape(1, -1, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.maximum(sides, 0).prod(-1)
    return shared / np.maximum(area(a) + area(b) - shared, 1e-9)


def area(boxes: NDArray) -> NDArray:
    """Area of each box, 0 for one that is turned inside out."""
    return np.maximum(boxes[..., 2:] - boxes[..., :2], 0).prod(-1)


def squared(boxes: NDArray) -> NDArray:
    """Squares around the same centres with the longer side of each box, in whole pixels."""
    side = np.floor((boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True))
    corner = np.floor((boxes[:, :2] + boxes[:, 2:] - side) / 2)
    return np.concatenate([corner, corner + side], 1)


def strongest(boxes: NDArray, scores: NDArray, limit: float, of_smaller: bool = False) -> NDArray[np.int64]:
    """Which boxes stay when each removes the weaker ones that it covers by more than ``limit``.

    Args:
        boxes: (boxes, 4) in whole pixels, both edges inside.
        scores: (boxes,).
        limit: intersection over union.
        of_smaller: take the intersection over the smaller box instead.

    Returns:
        Indices, the strongest first.
    """
    order = np.argsort(-scores, kind='stable')
    areas = (boxes[:, 2:] - boxes[:, :2] + 1).prod(1)
    kept = []
    while len(order):
        first, rest = order[0], order[1:]
        kept.append(first)
        low = np.maximum(boxes[first, :2], boxes[rest, :2])
        high = np.minimum(boxes[first, 2:], boxes[rest, 2:])
        shared = np.maximum(high - low + 1, 0).prod(1)
        smaller = np.minimum(areas[first], areas[rest])
        whole = smaller if of_smaller else areas[first] + areas[rest] - shared
        order = rest[shared <= limit * whole]
    return np.array(kept, np.int64)


def moved(boxes: NDArray, shifts: NDArray) -> NDArray:
    """Boxes with each edge moved by a fraction of their width and height."""
    return boxes + shifts * np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)


def are_usable(boxes: NDArray) -> NDArray[np.bool_]:
    """Which boxes are finite and have an inside."""
    return np.isfinite(boxes).all(1) & (boxes[:, 2:] - boxes[:, :2] >= 1).all(1)


def usable(boxes: NDArray) -> NDArray:
    """Those of the boxes that are."""
    return boxes[are_usable(boxes)]
