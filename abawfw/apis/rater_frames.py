"""The frames of videos that have ratings: of the videos themselves, of a store, or at a given rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.stores.kinds import open_store
from abawfw.errors import ConfigError, DataError, nearest
from abawfw.extraction.video.recording import Recording
from abawfw.extraction.video.source_videos import ENDINGS, find_videos
from abawfw.groups import session_of


@dataclass(frozen=True)
class VideoFrames:
    """The frames of a video that has ratings.

    Attributes:
        times: (frames,) seconds at which each is shown.
        partition: 'train', 'val' or 'test'; None where nothing says which.
        group: of videos that depend on one another, as far as it is known.
    """

    times: NDArray[np.float64]
    partition: str | None = None
    group: str | None = None


FindFrames = Callable[[str], VideoFrames]
"""The frames of a video, by its name; raises DataError where it is not known."""


def frames_of_videos(path: str | Path) -> FindFrames:
    """Frames of video files, each shown at its own time; a person's label is that of the whole video.

    Args:
        path: a folder of videos, or one of them.

    Raises:
        DataError: there is no such folder, or no video in it.
    """
    videos = {video.video_id: video.path for video in find_videos(Path(path)).videos}

    def find(name: str) -> VideoFrames:
        file = videos.get(name) or videos.get(session_of(name))
        if file is None:
            raise DataError(f'rates the video {name!r}, which is not in {path}; {nearest(name, videos)}')
        return VideoFrames(np.array([frame.time for frame in Recording(file).frames()]))

    return find


def has_videos(folder: Path) -> bool:
    """Whether videos lie in a folder."""
    return folder.is_dir() and any(path.suffix.lower() in ENDINGS for path in folder.iterdir())


def frames_of_store(path: str | Path, fps: float | None = None) -> FindFrames:
    """Frames, partitions and groups of a store's videos.

    Args:
        path: folder of the store.
        fps: frames per second of videos whose rate the store does not know.

    Raises:
        ConfigError: a rate that no video has.
        DataError: there is no store of a known kind.
    """
    if fps is not None and not 1 <= fps <= 1000:
        raise ConfigError(f'--fps {fps:g}: a rate from 1 to 1,000')
    store = open_store(path)
    videos = {video.video_id: video for video in store.videos()}

    def find(name: str) -> VideoFrames:
        if name not in videos:
            raise DataError(f'rates the video {name!r}, which is not in {path}; {nearest(name, videos)}')
        video = videos[name]
        times = store.times(name)
        if times is None:
            if fps is None:
                raise DataError(f'rates the video {name!r}, whose rate {path} does not know: give --fps')
            times = np.arange(video.num_frames) / fps
        return VideoFrames(np.asarray(times, dtype=np.float64), video.partition, video.group)

    return find


def frames_at_rate(fps: float, frames: int) -> FindFrames:
    """As many frames for every video, at one rate.

    Raises:
        ConfigError: a rate or a number that is not above 0.
    """
    if not 1 <= fps <= 1000 or frames < 1:
        raise ConfigError(f'--fps {fps:g} --frames {frames}: a rate from 1 to 1,000, and 1 frame or more')
    return lambda name: VideoFrames(np.arange(frames) / fps)
