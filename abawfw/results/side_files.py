"""Files beside the predictions of a run: where a face was found, groups and times of videos."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import DataError, counted
from abawfw.evaluation.functional import stretches
from abawfw.files import write_text
from abawfw.groups import Groups
from abawfw.json_files import read_json
from abawfw.prediction_files import AGAIN


def write_or_remove(path: Path, text: str | None) -> list[Path]:
    """Write a file beside predictions; without a text, what an earlier test left there goes.

    Returns:
        The file, if there is one.
    """
    if text is None:
        path.unlink(missing_ok=True)
        return []
    write_text(path, text)
    return [path]


LARGEST = 1e100  # nothing that a run reports is larger; what is drawn or printed must not overflow


def number(value: Any) -> float | None:
    """The value, if it is a number that can be printed and drawn; None if it is anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -LARGEST < value < LARGEST and not math.isnan(value) else None


FACES = 'val_faces.json'


def write_faces(folder: Path | str, faces: Mapping[str, np.ndarray]) -> list[Path]:
    """Write the stretches without a face: ``{video: {"frames": N, "without": [[start, stop], ...]}}``.

    Without any video, a file of an earlier test goes.

    Args:
        folder: of the prediction files.
        faces: (frames,) bool by video, True where a face was found.

    Returns:
        The file, if there is one.
    """
    content = {}
    for video, found in faces.items():
        without = stretches(~np.asarray(found, dtype=bool))
        content[video] = {'frames': len(found), 'without': without.tolist()}
    return write_or_remove(Path(folder) / FACES, json.dumps(content) + '\n' if content else None)


def read_faces(folder: Path | str, frames: Mapping[str, int]) -> dict[str, np.ndarray] | None:
    """Where a face was found, (frames,) bool by video; None where there is no such file.

    Args:
        folder: of the prediction files.
        frames: of each video that is known; others are omitted.

    Raises:
        DataError: the file is damaged, or holds other numbers of frames.
    """
    path = Path(folder) / FACES
    return _read_of_videos(path, frames, _faces) if path.is_file() else None


def _faces(video: str, length: int, entry: Mapping[str, Any]) -> np.ndarray:
    found = np.ones(length, dtype=bool)
    for pair in entry['without']:
        if not isinstance(pair, list) or [type(x) for x in pair] != [int, int]:
            raise ValueError(f'video {video}: {str(pair)[:40]} is no pair of frames')
        start, stop = pair
        if not 0 <= start < stop <= length:
            raise ValueError(f'video {video} of {counted(length, "frame")}: no face from {start} to {stop}')
        found[start:stop] = False
    return found


def _read_of_videos(
    path: Path, frames: Mapping[str, int], of_video: Callable[[str, int, Mapping[str, Any]], np.ndarray]
) -> dict[str, np.ndarray]:
    """What ``of_video`` makes of the entry of each known video; DataError where it raises."""
    found = {}
    content = read_json(path, AGAIN)
    try:
        for video, entry in content.items():
            length = frames.get(video)
            if length is None:
                continue
            if not isinstance(entry, dict):
                raise ValueError(f'video {video}: {str(entry)[:40]} where an object is expected')
            if entry['frames'] != length:
                raise ValueError(f'{entry["frames"]} and not {length} frames of video {video}')
            found[video] = of_video(video, length, entry)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f'{path} is damaged or of another test ({error}); {AGAIN}') from error
    return found


GROUPS = 'val_groups.csv'


def write_val_groups(folder: Path | str, groups: Groups) -> list[Path]:
    """Write ``video,group`` of the videos whose group is known; without any, a file of an earlier test goes.

    Args:
        folder: of the prediction files.
        groups: of the videos of val.

    Returns:
        The file, if there is one.
    """
    return write_or_remove(Path(folder) / GROUPS, groups.to_csv() if groups.of else None)


def read_val_groups(folder: Path | str, videos: Sequence[str]) -> Groups:
    """The groups of the videos of val; none where there is no such file, as in runs of version 0.1.

    Such a file may as well be written by hand.

    Args:
        folder: of the prediction files.
        videos: that have predictions.

    Raises:
        DataError: the file is damaged, or names a video that has no predictions.
    """
    path = Path(folder) / GROUPS
    return Groups.read(path, videos, ()) if path.exists() else Groups()


TIMES = 'val_times.json'
EVEN = 5e-4  # seconds; a finer difference is not seen in any figure


def evenly_spaced(times: NDArray[np.float64]) -> bool:
    """Whether all other times follow from the first and the last, to half a millisecond.

    >>> evenly_spaced(np.array([0.0, 0.04, 0.08])), evenly_spaced(np.array([0.0, 0.03, 0.08]))
    (True, False)
    """
    return bool(np.abs(times - np.linspace(times[0], times[-1], len(times))).max() <= EVEN)


def write_times(folder: Path | str, times: Mapping[str, NDArray[np.float64] | None]) -> list[Path]:
    """Write the seconds of all frames: ``{video: {"frames": N, "start": 0.0, "fps": 30.0}}``.

    Where frames are not evenly spaced, ``"seconds": [...]`` stands in place of start and rate. Without any
    known times a file of an earlier test is removed.

    Args:
        folder: of the prediction files.
        times: (frames,) seconds by video, None where they are unknown.

    Returns:
        The file, if there is one.
    """
    content = {}
    for video, known in times.items():
        if known is None or not len(known) or not np.isfinite(known).all():
            continue
        entry: dict[str, Any] = {'frames': len(known)}
        if len(known) > 1 and evenly_spaced(known):
            entry |= {
                'start': float(known[0]),
                'fps': float(f'{(len(known) - 1) / (known[-1] - known[0]):.10g}'),
            }
        else:
            entry['seconds'] = known.round(4).tolist()
        content[video] = entry
    return write_or_remove(Path(folder) / TIMES, json.dumps(content) + '\n' if content else None)


def read_times(folder: Path | str, frames: Mapping[str, int]) -> dict[str, NDArray[np.float64]]:
    """Seconds at which each frame is shown, (frames,) by video, of those whose times are known.

    Args:
        folder: of the prediction files.
        frames: of each video that is known; others are omitted.

    Raises:
        DataError: the file is damaged, or holds other numbers of frames.
    """
    path = Path(folder) / TIMES
    return _read_of_videos(path, frames, _times) if path.is_file() else {}


def _times(video: str, length: int, entry: Mapping[str, Any]) -> NDArray[np.float64]:
    if 'seconds' in entry:
        values = [number(value) for value in entry['seconds']]
        if len(values) != length or None in values:
            raise ValueError(f'video {video}: "seconds" is not one number for each of {length} frames')
        times = np.array(values, dtype=np.float64)
    else:
        start, fps = number(entry['start']), number(entry['fps'])
        if start is None or fps is None or fps <= 0:
            raise ValueError(f'video {video}: "fps" is {entry["fps"]} and "start" {entry["start"]}')
        times = start + np.arange(length) / fps
    if (np.diff(times) < 0).any():
        raise ValueError(f'video {video}: times that fall')
    return times
