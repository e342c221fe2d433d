"""Small helpers that every store needs: pieces of a video, finite values, right names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from abawfw.datasets.stores.records import VideoInfo
from abawfw.errors import DataError, counted

CHUNK_ELEMENTS = 1 << 20
"""Numbers read at a time in a pass over all data: 8 MB as float64, whatever the size of the store."""


MAX_FRAMES = 10**9
"""Frames of a video. An index may say anything, and masks are as long as it says."""


def chunks(num_frames: int, dims: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """(start, stop) of consecutive pieces of a video, each of at most about CHUNK_ELEMENTS numbers."""
    step = max(1, CHUNK_ELEMENTS // max(1, int(np.prod(dims))))
    return ((start, min(start + step, num_frames)) for start in range(0, num_frames, step))


def not_finite(values: np.ndarray) -> np.ndarray:
    """Frames, (frames,) bool, of values (frames, *dims) in which anything is NaN or infinite."""
    if values.dtype.kind != 'f':
        return np.zeros(len(values), dtype=bool)
    # A sum is finite unless an element is not, or it overflows: one fast pass decides in nearly all cases.
    with np.errstate(all='ignore'):
        if np.isfinite(np.sum(values, dtype=np.result_type(values.dtype, np.float32))):
            return np.zeros(len(values), dtype=bool)
    bad: np.ndarray = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    return bad


def check_finite(values: np.ndarray, feature: str, video_id: str, start: int = 0) -> None:
    """Refuse NaN and infinity: DataError with feature, video, first bad frame and count.

    Args:
        values: (frames, *dims).
        feature: named in the error.
        video_id: named in the error.
        start: index of the first frame in its video.
    """
    bad = not_finite(values)
    if bad.any():
        raise DataError(not_finite_message(feature, video_id, start + int(bad.argmax()), int(bad.sum())))


def not_finite_message(feature: str, video_id: str, first: int, count: int) -> str:
    """What is wrong with a feature of a video that is NaN or infinite, and the way out."""
    return (
        f'feature {feature!r} of video {video_id!r} is NaN or infinite in {counted(count, "frame")} '
        'read here, '
        f'first in frame {first}; extract it again, or mend these frames and mark them as not valid '
        '(tools/check_data.py lists everything of the kind)'
    )


def disorder(times: np.ndarray) -> str | None:
    """The first frame that is not shown after the one before it, or at no finite time; None if none is.

    Args:
        times: (frames,) seconds, float64.
    """
    wrong = ~np.isfinite(times)
    wrong[1:] |= ~(np.diff(times) > 0)
    if not wrong.any():
        return None
    frame = int(wrong.argmax())
    before = f', frame {frame - 1} at {times[frame - 1]:.6g} s' if frame else ''
    return f'frame {frame} is shown at {times[frame]:.6g} s{before}: frames must be in order of their times'


def check_videos(videos: Iterable[VideoInfo], root: Path) -> None:
    """Refuse empty or endless videos and a name that two videos carry: DataError that names them."""
    videos = list(videos)
    for video in videos:
        if video.num_frames > MAX_FRAMES:
            raise DataError(
                f'{root}: video {video.video_id!r} has {video.num_frames:,} frames; no more than '
                f'{MAX_FRAMES:,} are read, a year of video: write its length again'
            )
    empty = [video.video_id for video in videos if video.num_frames < 1]
    if empty:
        raise DataError(
            f'{root}: video {", ".join(map(repr, empty))} has no frames; remove it from the store'
        )
    partitions: dict[str, list[str]] = {}
    for video in videos:
        partitions.setdefault(video.video_id, []).append(video.partition)
    for video_id, count in Counter(video.video_id for video in videos).items():
        if count > 1:
            raise DataError(
                f'{root}: video {video_id!r} is there {count} times, '
                f'in {" and in ".join(partitions[video_id])}; '
                'a video belongs to one partition: remove or rename the other'
            )


def plain_name(name: object, where: object) -> str:
    """The name, if it is that of one file or folder and leads nowhere else.

    Raises:
        DataError: it does not; says that it comes from ``where``.
    """
    if (
        not isinstance(name, str)
        or not name
        or Path(name).name != name
        or name == '..'
        or any(c in '\\\x7f' or c < ' ' or '\ud800' <= c <= '\udfff' for c in name)
    ):
        shown = ascii(name) if isinstance(name, str) else type(name).__name__
        raise DataError(f'{where}: {shown} cannot be a name here: it must be that of one file or folder')
    return name


def frame_rate(value: object) -> float | None:
    """Frames per second as an index has them; None where it says that they are unknown.

    Raises:
        ValueError: it is no positive number.
    """
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 < value < 1e6:  # type: ignore[operator]
        raise ValueError(f'{str(value)[:40]} is no frame rate')
    return float(value)  # type: ignore[arg-type]
