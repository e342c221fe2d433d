"""How far the extraction of many videos has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from abawfw.features.source_videos import SourceVideo


class Progress(NamedTuple):
    """A moment of an extraction.

    Attributes:
        done: videos that are finished or failed.
        videos: all to be extracted now.
        share: of the work that is done, by the size of the files.
        seconds: since the start.
        finished: a video has just been finished, or failed.
    """

    done: int
    videos: int
    share: float
    seconds: float
    finished: bool = False

    @property
    def remaining(self) -> float | None:
        """Seconds that the rest will take at this pace; None at the very beginning."""
        return self.seconds * (1 - self.share) / self.share if self.share > 0 else None


class ProgressWatch:
    """Adds up how far the videos are.

    Args:
        videos: all that are to be extracted now.
        progress: called with every step.
    """

    def __init__(self, videos: Sequence[SourceVideo], progress: Callable[[Progress], None]) -> None:
        self._sizes = {v.video_id: max(v.path.stat().st_size, 1) for v in videos}
        self._shares = dict.fromkeys(self._sizes, 0.0)
        self._done = 0
        self._start = time.monotonic()
        self._progress = progress

    def tick(self, video: SourceVideo, share: float, finished: bool = False) -> None:
        """This share of a video is done."""
        self._shares[video.video_id] = share
        done = sum(share * self._sizes[name] for name, share in self._shares.items())
        seconds = time.monotonic() - self._start
        whole = sum(self._sizes.values())
        self._progress(Progress(self._done, len(self._sizes), done / whole, seconds, finished))

    def finish(self, video: SourceVideo) -> None:
        """A video is finished, or failed."""
        self._done += 1
        self.tick(video, 1.0, finished=True)
