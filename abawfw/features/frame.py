"""One picture of a video."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

STRAIGHT = 1e-3
"""Of a display matrix's entries, what may be off from those of a turn by quarters: they are rounded."""


class Orientation(NamedTuple):
    """How stored pictures are made upright.

    Attributes:
        mirrored: left and right are swapped first.
        rotation: degrees, 0, 90, 180 or 270, by which they are turned counter-clockwise then.
        exact: whether that is all that the file asks for.
    """

    mirrored: bool = False
    rotation: int = 0
    exact: bool = True

    @classmethod
    def of_matrix(cls, a: float, b: float, c: float, d: float) -> Orientation:
        """What comes nearest to a display matrix.

        Args:
            a: with the others the part of the matrix (ISO/IEC 14496-12, 6.2.2) without the shift: a stored
                pixel at (x, y), counted to the right and down, is shown at (a x + c y, b x + d y).
            b: see ``a``.
            c: see ``a``.
            d: see ``a``.
        """
        across, down = np.hypot(a, b), np.hypot(c, d)
        if not across or not down:  # the picture would have no area
            return cls(exact=False)
        a, b, c, d = a / across, b / across, c / down, d / down
        exact = abs(across / down - 1) <= STRAIGHT
        if abs(a) + abs(d) >= abs(b) + abs(c):
            exact = exact and max(abs(b), abs(c)) <= STRAIGHT
            return cls((a < 0) != (d < 0), 180 if d < 0 else 0, bool(exact))
        exact = exact and max(abs(a), abs(d)) <= STRAIGHT
        return cls((b < 0) == (c < 0), 270 if c < 0 else 90, bool(exact))


class Frame:
    """One decoded picture, converted only when asked for; drop it before the next one is taken.

    Args:
        index: how many were decoded before it.
        time: seconds at which it is shown.
        picture: PyAV's frame.
        convert: PyAV's reformatter.
        ratio: width of a stored pixel over its height; pictures are given with square ones.
    """

    def __init__(self, index: int, time: float, picture: Any, convert: Any, ratio: float = 1.0) -> None:
        self.index = index
        self.time = time
        self._picture = picture
        self._convert = convert
        self._ratio = ratio

    @cached_property
    def orientation(self) -> Orientation:
        """How it was made upright."""
        return _orientation(self._picture)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture."""
        size = self._lying
        return size if self.orientation.rotation % 180 == 0 else size[::-1]

    def rgb(self, longest: int | None = None) -> NDArray[np.uint8]:
        """The upright picture.

        Args:
            longest: shrink it, if its long side is longer than this.

        Returns:
            (height, width, 3).
        """
        width, height = self._lying
        shrink = min(1.0, longest / max(width, height)) if longest else 1.0
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        # the mean over areas; the faster ways let fine detail alias
        way = 'AREA' if shrink < 1 else None
        stored = self._convert.reformat(self._picture, *size, format='rgb24', interpolation=way).to_ndarray()
        if self.orientation.mirrored:
            stored = stored[:, ::-1]
        return np.ascontiguousarray(np.rot90(stored, self.orientation.rotation // 90))

    @property
    def _lying(self) -> tuple[int, int]:
        """Width and height before it is turned."""
        return max(1, round(self._picture.width * self._ratio)), self._picture.height


def _orientation(picture: Any) -> Orientation:
    try:
        matrix = picture.side_data.get('DISPLAYMATRIX')
    except ValueError:  # side data of a kind that PyAV does not know: it still tells the rotation
        return Orientation(rotation=round(picture.rotation / 90) * 90 % 360, exact=not picture.rotation % 90)
    if matrix is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5] / 65536
    return Orientation.of_matrix(a, b, c, d)
