"""Persons made of coloured squares, and a detector that finds them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from extraction.made_detectors import LabelledDetector
from numpy.typing import NDArray

from abawfw.extraction.faces.detectors import Face

SIZE = (240, 136)
COLOURS = {'red': (230, 40, 40), 'green': (40, 210, 60), 'blue': (50, 60, 230)}
POINTS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
Place = tuple[str, float, float, int] | None
"""Colour, centre (x, y) and side of a face; None: not in the picture."""


def picture(*persons: Place, background: int = 120, light: float = 1.0) -> NDArray[np.uint8]:
    """A picture with these persons, the last one in front; each has a face, and clothes in darker colours."""
    width, height = SIZE
    rgb = np.full((height, width, 3), background, np.uint8)
    for person in persons:
        if person is not None:
            colour, x, y, side = person
            left, top = round(x - side / 2), round(y - side / 2)
            rgb[max(top + side, 0) :, max(left, 0) : max(left + side, 0)] = np.array(COLOURS[colour]) // 5
            rgb[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = COLOURS[colour]
    return (rgb * light).astype(np.uint8)


class SquareDetector(LabelledDetector):
    """Finds the faces of `picture`; like a network it knows faces, not persons.

    Args:
        blind: tells of the number of a call to `detect` whether it finds nothing.
    """

    label = 'squares'

    def __init__(self, blind: Callable[[int], bool] = lambda call: False) -> None:
        self.blind = blind
        self.detections = self.refinements = 0

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        self.detections += 1
        if self.blind(self.detections - 1):
            return []
        masks = (coloured(rgb) & (rgb.argmax(2) == channel) for channel in range(3))
        return [face for mask in masks if (face := face_of(mask))]

    def refine(self, rgb: NDArray[np.uint8], boxes: NDArray[np.float32]) -> list[Face | None]:
        self.refinements += 1
        faces = []
        for left, top, right, bottom in boxes:
            margin = 0.2 * (right - left)
            mask = np.zeros(rgb.shape[:2], np.bool_)
            rows = slice(max(round(top - margin), 0), max(round(bottom + margin), 0))
            columns = slice(max(round(left - margin), 0), max(round(right + margin), 0))
            mask[rows, columns] = coloured(rgb)[rows, columns]
            enough = mask.sum() > 0.5 * (right - left) * (bottom - top)
            faces.append(face_of(mask) if enough else None)
        return faces


def coloured(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.ptp(rgb.astype(int), axis=2) > 80


def face_of(mask: NDArray[np.bool_]) -> Face | None:
    """The face that fills this mask; none if it is mostly hidden."""
    if mask.sum() < 100:
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    width, height = np.ptp(columns) + 1, np.ptp(rows) + 1
    if min(width, height) < 0.6 * max(width, height):
        return None
    corner, side = np.array([columns[0], rows[0]], np.float32), np.array([width, height], np.float32)
    box = np.concatenate([corner, corner + side]).astype(np.float32)
    return Face(box, (corner + POINTS * side).astype(np.float32), 0.9)
