"""A face in consecutive frames."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from abawfw.features.detectors.base import Face, scaled_points

VALUES = 15  # per frame: box, points, score


class Tracklet:
    """One face in consecutive frames.

    Args:
        start: index of its first frame.
        colours: see `colours`, at its first frame.

    Attributes:
        start: as given.
        first_colours: as given.
        colours: of the last full detection.
        box: the last one, in pixels of the picture that was searched.
    """

    def __init__(self, start: int, colours: NDArray[np.float32]) -> None:
        self.start = start
        self.first_colours = self.colours = colours
        self.box = np.zeros(4, np.float32)
        self._speed = np.zeros(4, np.float32)
        self._values = array('f')

    @property
    def stop(self) -> int:
        """Index of the first frame after it."""
        return self.start + len(self._values) // VALUES

    @property
    def rows(self) -> NDArray[np.float32]:
        """(frames, 15): boxes, points and scores in pixels of the full picture."""
        return np.array(self._values, np.float32).reshape(-1, VALUES)

    @property
    def first(self) -> NDArray[np.float32]:
        """(15,): the first of `rows`."""
        return np.array(self._values[:VALUES], np.float32)

    @property
    def last(self) -> NDArray[np.float32]:
        """(15,): the last of `rows`."""
        return np.array(self._values[-VALUES:], np.float32)

    @property
    def expected(self) -> NDArray[np.float32]:
        """Where the face is one frame on if it goes on as it has."""
        return self.box + self._speed

    def add(self, face: Face, scale: NDArray[np.float32]) -> None:
        """Append the next frame; ``scale`` (2,) turns the searched picture's pixels into full ones."""
        if self._values:
            # a mean over about five frames: single steps are mostly jitter
            self._speed += 0.2 * (face.box - self.box - self._speed)
        self.box = face.box
        self._values.extend((face.box.reshape(2, 2) * scale).ravel())
        self._values.extend(scaled_points(face.points, scale).ravel())
        self._values.append(face.score)
