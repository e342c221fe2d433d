"""What every extractor does: faces, sound or words to one row per frame of the video."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import DataError
from abawfw.features.sound import RATE, Sound

BLOCK = 1000
"""Most rows in a piece of zeros."""


class Extractor(ABC):
    """Makes one feature of a store. Built in no time: networks and packages are loaded when first used.

    Attributes:
        name: of the feature, in stores and on command lines.
        dims: shape of one row.
        dtype: of the rows: 'float32', 'float16' or 'uint8'.
        source: what it is made from: 'face', 'sound' or 'words'.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    dtype: str = 'float32'

    @property
    @abstractmethod
    def dims(self) -> tuple[int, ...]:
        """Shape of one row."""

    def settings(self) -> dict[str, Any]:
        """Plain values that decide what comes out; kept in the store, so that a change is noticed."""
        return {}

    def check(self) -> None:  # noqa: B027  # many need nothing
        """Say what is missing before hours of work.

        Raises:
            DataError: a package, file or argument is missing.
            CheckpointError: a file of weights is missing or cannot be read.
        """


class FaceExtractor(Extractor):
    """Makes a feature of aligned faces, of each face alone."""

    source = 'face'

    @abstractmethod
    def extract(self, faces: NDArray[np.uint8]) -> NDArray:
        """One row per face.

        Args:
            faces: (n, 112, 112, 3) RGB; only frames in which the face was observed.

        Returns:
            (n, *dims).
        """


class SoundExtractor(Extractor):
    """Makes a feature of the sound around or after the time at which each frame is shown."""

    source = 'sound'

    @abstractmethod
    def rows(self, sound: Sound, times: NDArray[np.float64]) -> Iterator[NDArray]:
        """Rows (k, *dims) in order of times, some at a time.

        Args:
            sound: with at least one sample.
            times: (n,) seconds within the sound, none before the one before it; at least one.
        """

    def extract(self, sound: Sound, times: NDArray[np.float64]) -> Iterator[NDArray]:
        """One row per frame; zeros where nothing is heard, see `observed`.

        Args:
            sound: of the video.
            times: (n,) seconds at which each frame is shown (presentation times), in order.

        Yields:
            (k, *dims), in order of times; the k sum to n. Memory does not grow with n.

        Raises:
            DataError: the times are not in order, or the sound cannot be read.
        """
        times = in_order(times)
        observed = self.observed(sound, times)
        if not observed.any():
            for start in range(0, len(times), BLOCK):
                yield np.zeros((min(BLOCK, len(times) - start), *self.dims), self.dtype)
            return
        done = 0
        for rows in self.rows(sound, times.clip(0, (sound.num_samples - 1) / RATE)):
            rows = rows.astype(self.dtype, copy=False)
            silent = ~observed[done : done + len(rows)]
            done += len(rows)
            if silent.any():
                rows = rows.copy()
                rows[silent] = 0
            yield rows

    def observed(self, sound: Sound, times: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,): False for frames shown when the sound is over or long missing, and for all without sound."""
        return sound.covers(times)


class WordExtractor(Extractor):
    """Makes a feature of the words spoken."""

    source = 'words'

    @abstractmethod
    def extract(self, video: str, times: NDArray[np.float64]) -> Iterator[NDArray]:
        """One row per frame.

        Args:
            video: name of the video, by which its words are found.
            times: (n,) seconds at which each frame is shown, in order.

        Yields:
            (k, *dims), in order of times; the k sum to n.

        Raises:
            DataError: there are no words for this video, or they cannot be read.
        """


def in_order(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Times as float64.

    Raises:
        DataError: one is before the one before it, or is no number.
    """
    times = np.asarray(times, np.float64)
    wrong = ~np.isfinite(times)
    wrong[1:] |= ~(np.diff(times) >= 0)
    if wrong.any():
        i = int(wrong.argmax())
        before = f', frame {i - 1} at {times[i - 1]:.6g} s' if i else ''
        raise DataError(
            f'frame {i} is shown at {times[i]:.6g} s{before}: frames must be in order of their '
            'times; write the video anew, for instance with ffmpeg -i OLD NEW'
        )
    return times
