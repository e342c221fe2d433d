"""The frames of videos that have ratings: of the videos themselves, of a store, or at a given rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.stores.kinds import open_store
from abawfw.datasets.stores.records import VideoInfo
from abawfw.errors import ConfigError, DataError, nearest
from abawfw.extraction.video.recording import Recording
from abawfw.extraction.video.source_videos import ENDINGS, SUFFIXES, find_videos
from abawfw.groups import session_of


@dataclass(frozen=True)
class VideoFrames:
    """The frames of a video that has ratings.

    Attributes:
        times: (frames,) seconds at which each is shown.
        name: of the video, in the Unicode form that it has where it lies; None where nothing says it.
        partition: 'train', 'val' or 'test'; None where nothing says which.
        group: of videos that depend on one another, as far as it is known.
    """

    times: NDArray[np.float64]
    name: str | None = None
    partition: str | None = None
    group: str | None = None


FindFrames = Callable[[str], VideoFrames]
"""The frames of a video, by its name; raises DataError where it is not known."""


def frames_of_videos(path: str | Path) -> FindFrames:
    """Frames of video files, each shown at its own time; a person's label is that of the whole video.

    Persons are the left and the right one of two, as extraction takes labels of them.

    Args:
        path: a folder of videos, or one of them.

    Raises:
        DataError: there is no such folder, or no video in it.
    """
    found = find_videos(Path(path))
    videos = {normalize('NFC', video.video_id): video for video in found.videos}

    def find(name: str) -> VideoFrames:
        form = normalize('NFC', name)
        session = session_of(form)
        for video in (form, session):
            if video in found.refused:
                raise DataError(f'rates the video {name!r}, which cannot be used: {found.refused[video]}')
            if video in videos:
                break
        else:
            raise DataError(f'rates the video {name!r}, which is not in {path}; {nearest(form, videos)}')
        person = form[len(video) :]
        if person not in SUFFIXES:
            raise DataError(
                f'rates {name!r}, one of the persons of {video!r}: extract_features.py cannot use labels of '
                f'{person!r}. Call the left and the right one of two {video}_left and {video}_right, in the '
                'name of the file and in its "# video:" line, or give a store that has this person: --store'
            )
        times = np.array([frame.time for frame in Recording(videos[video].path).frames()])
        return VideoFrames(times, videos[video].video_id + person)

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
        ConfigError: a rate that no video has, or one where the store knows that of every video.
        DataError: there is no store of a known kind.
    """
    if fps is not None and not 1 <= fps <= 1000:
        raise ConfigError(f'--fps {fps:g}: a rate from 1 to 1,000')
    store = open_store(path)
    if fps is not None and all(store.times(video.video_id) is not None for video in store.videos()):
        raise ConfigError(f'{path} says when the frames of its videos are: omit --fps')
    videos: dict[str, list[VideoInfo]] = {}
    for of_store in store.videos():
        videos.setdefault(normalize('NFC', of_store.video_id), []).append(of_store)

    def find(name: str) -> VideoFrames:
        form = normalize('NFC', name)
        if form not in videos:
            raise DataError(f'rates the video {name!r}, which is not in {path}; {nearest(form, videos)}')
        video, *others = videos[form]
        if others:
            raise DataError(
                f'rates the video {name!r}, a name that {path} has in two Unicode forms; rename one of both'
            )
        times = store.times(video.video_id)
        if times is None:
            if fps is None:
                raise DataError(f'rates the video {name!r}, whose rate {path} does not know: give --fps')
            times = np.arange(video.num_frames) / fps
        return VideoFrames(np.asarray(times, dtype=np.float64), video.video_id, video.partition, video.group)

    return find


def frames_at_rate(fps: float, frames: int) -> FindFrames:
    """As many frames for every video, at one rate.

    Raises:
        ConfigError: a rate or a number that is not above 0.
    """
    if not 1 <= fps <= 1000 or frames < 1:
        raise ConfigError(f'--fps {fps:g} --frames {frames}: a rate from 1 to 1,000, and 1 frame or more')
    return lambda name: VideoFrames(np.arange(frames) / fps)
