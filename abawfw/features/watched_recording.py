"""How far the extraction of a video has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from abawfw.features.recording import Frame, Recording


class WatchedRecording(Recording):
    """A recording that tells how much of it has been read.

    Args:
        path: the file.
        progress: called with the share that is done; may be None.
        passes: times it is going to be read.
    """

    def __init__(self, path: str | Path, progress: Callable[[float], None] | None, passes: int) -> None:
        super().__init__(path)
        self._progress = progress
        self._passes = passes
        self._read = 0

    def frames(self) -> Iterator[Frame]:
        """See `Recording.frames`."""
        stated = self.info.frames
        for frame in super().frames():
            yield frame
            self._read += 1
            if self._progress is not None and stated:
                self._progress(min(self._read / (stated * self._passes), 1.0))
