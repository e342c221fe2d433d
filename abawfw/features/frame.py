"""One picture of a video."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


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

    @property
    def rotation(self) -> int:
        """Degrees, a multiple of 90, by which the stored picture is turned counter-clockwise."""
        return round(self._picture.rotation / 90) * 90

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture."""
        size = self._lying
        return size if self.rotation % 180 == 0 else size[::-1]

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
        picture = self._convert.reformat(self._picture, *size, format='rgb24', interpolation=way)
        return np.ascontiguousarray(np.rot90(picture.to_ndarray(), self.rotation // 90))

    @property
    def _lying(self) -> tuple[int, int]:
        """Width and height before it is turned."""
        return max(1, round(self._picture.width * self._ratio)), self._picture.height
