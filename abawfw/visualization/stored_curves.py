"""Curves of many videos inside a page, within a budget of bytes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abawfw.evaluation.functional import stretches
from abawfw.results.side_files import evenly_spaced

BUDGET = 20_000_000  # bytes of a page's curves; plotly.js takes 5 million more, everything else less than 2
STEPS = 32_767  # of int16 on either side of 0
NO_VALUE = -32_768
BANDS = 500  # stretches without a face per video that are drawn; a screen shows no more


class VideoCurves(NamedTuple):
    """What can be drawn of one video.

    Attributes:
        curves: (frames,) by name, NaN where there is no value.
        faces: (frames,) bool, where a face was found; None where that is unknown.
        notes: lines of text shown with the curves.
        times: (frames,) seconds at which each frame is shown; None where they are unknown.
    """

    curves: Mapping[str, NDArray]
    faces: NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()
    times: NDArray[np.float64] | None = None

    @property
    def frames(self) -> int:
        """Length of the longest curve."""
        return max((len(curve) for curve in self.curves.values()), default=0)


class StoredCurves:
    """The form in which a page holds curves: whole numbers of two bytes, as base64.

    All frames are kept while all videos together fit the budget. Beyond it, every curve keeps the frames
    where it is lowest and highest in buckets of equal length, with their exact positions.

    Args:
        videos: by name.
        budget: bytes of text.

    Attributes:
        bucket: frames of a bucket; 1 where all frames are kept.
    """

    def __init__(self, videos: Mapping[str, VideoCurves], budget: int = BUDGET) -> None:
        self.videos = videos
        lengths = np.array([len(c) for v in videos.values() for c in v.curves.values()], dtype=np.int64)
        uneven = [v.times for v in videos.values() if v.times is not None and not evenly_spaced(v.times)]
        timed = np.array([len(times) for times in uneven], dtype=np.int64)
        self.bucket = 1
        while self.bucket < LONGEST_BUCKET and _bytes(lengths, timed, self.bucket) > budget:
            self.bucket += max(1, self.bucket // 20)
        self.frames = sum(v.frames for v in videos.values())

    def entry(self, video: str) -> dict[str, Any]:
        """What the page holds of a video, ready for JSON.

        ``frames``; ``bands``, the stretches without a face as pairs of first frame and frame after the last,
        or null; ``notes``; ``times``, null, or seconds: the first is ``start``, they are ``step`` apart, or
        else ``known``, base64 of little-endian float32, holds those of frames 0, ``every``,
        2 * ``every`` and so on, and of the last one; and ``curves``: by name ``values``, base64 of
        little-endian int16 to be multiplied by ``scale``, -32,768 for no value, and ``steps``, base64 of
        little-endian uint16: the position of the first value and the distance of every other one from that
        before, where not all frames are kept.
        """
        found = self.videos[video]
        bands, notes = None, list(found.notes)
        if found.faces is not None:
            bands = bands_without(found.faces)
            if len(bands) < len(stretches(~found.faces)):
                notes.append(f'at most {BANDS} stretches without a face are drawn: the closest are joined')
        curves = {name: _stored(np.asarray(curve), self.bucket) for name, curve in found.curves.items()}
        times = None if found.times is None else _stored_times(found.times, self.bucket)
        return {'frames': found.frames, 'bands': bands, 'notes': notes, 'times': times, 'curves': curves}

    @property
    def note(self) -> str:
        """How much of the curves the page holds, as text."""
        if self.bucket == 1:
            return f'All {self.frames:,} frames are on the page.'
        return (
            f'These {self.frames:,} frames are too many for one page: of every {self.bucket} frames, a curve '
            'keeps its lowest and highest value at their positions. No peak is lost; values between them are '
            'omitted, and shorter gaps are bridged.'
        )


def bands_without(faces: NDArray[np.bool_], most: int = BANDS) -> list[list[int]]:
    """Stretches without a face as pairs of first frame and frame after the last.

    Args:
        faces: (frames,), where a face was found.
        most: number of stretches; of more, the closest are joined.
    """
    bands = stretches(~faces)
    if len(bands) > most:
        gaps = bands[1:, 0] - bands[:-1, 1]
        kept = np.sort(np.argsort(-gaps, kind='stable')[: most - 1])
        starts = np.concatenate([[0], kept + 1])
        bands = np.stack([bands[starts, 0], bands[np.append(kept, len(bands) - 1), 1]], axis=1)
    return [[int(start), int(stop)] for start, stop in bands]


def _bytes(lengths: NDArray[np.int64], timed: NDArray[np.int64], bucket: int) -> float:
    """Size as base64 of the curves, and of the times of those videos whose frames are not evenly spaced."""
    kept = 2 * -(-lengths // bucket) + 2
    return 4 / 3 * float(np.minimum(2 * lengths, 4 * kept).sum() + 4 * (timed // bucket + 2).sum())


def _stored_times(times: NDArray[np.float64], bucket: int) -> dict[str, Any]:
    if evenly_spaced(times):
        step = float(times[-1] - times[0]) / max(len(times) - 1, 1)
        return {'start': float(times[0]), 'step': step or 1.0}
    at = np.append(np.arange(0, len(times) - 1, bucket), len(times) - 1)
    return {'known': _base64(times[at], '<f4'), 'every': bucket}


def _stored(values: NDArray, bucket: int) -> dict[str, Any]:
    steps = None
    if bucket > 1:
        positions = decimate(values, bucket)
        if 2 * len(positions) < len(values):  # a position costs as much as a value
            steps = _base64(np.diff(positions, prepend=0), '<u2')
            values = values[positions]
    largest = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.0
    scale = largest / STEPS or 1.0
    numbers = np.where(np.isnan(values), NO_VALUE, np.round(values / scale))
    stored = {'scale': scale, 'values': _base64(numbers, '<i2')}
    return stored if steps is None else {**stored, 'steps': steps}


def _base64(numbers: NDArray, kind: str) -> str:
    return base64.b64encode(numbers.astype(kind).tobytes()).decode('ascii')


LONGEST_BUCKET = 32_767
"""Kept frames are then less than 65,536 apart: differences of positions fit two bytes."""


def decimate(values: Any, bucket: int) -> NDArray[np.int64]:
    """Which frames of a curve to keep: the lowest and highest of every bucket, the first and the last.

    A bucket without any value, all NaN, keeps one frame, so that a gap stays a gap; gaps that are shorter
    than that are bridged.

    Args:
        values: (frames,), NaN where there is none.
        bucket: frames of a bucket, at most 32,767; the last one may be shorter. 1 or 2 keep all frames.

    Returns:
        Rising positions, at most two per bucket and two more; all frames of a curve that has no more.

    >>> decimate([0.0, 0.1, 0.9, 0.2, 0.1, 0.3, -0.7, 0.2, 0.0, 0.0], 5)
    array([0, 2, 5, 6, 9])
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    buckets = -(-n // bucket)
    if n <= 2 * buckets + 2:
        return np.arange(n)
    known = np.isfinite(values)
    lowest, highest = np.full((2, buckets * bucket), np.nan)
    lowest[:n], highest[:n] = np.where(known, values, np.inf), np.where(known, values, -np.inf)
    lowest[n:], highest[n:] = np.inf, -np.inf
    starts = np.arange(buckets) * bucket
    low = starts + lowest.reshape(buckets, bucket).argmin(axis=1)
    high = starts + highest.reshape(buckets, bucket).argmax(axis=1)
    return np.unique(np.concatenate([[0], low, high, [n - 1]]))
