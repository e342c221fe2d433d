"""When each frame of val is shown, as a file beside the predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import DataError
from abawfw.evaluation.file_numbers import number
from abawfw.evaluation.side_files import write_or_remove
from abawfw.json_files import read_json

NAME = 'val_times.json'
EVEN = 5e-4  # seconds; a finer difference is not seen in any picture


def evenly_spaced(times: NDArray[np.float64]) -> bool:
    """Whether the first and the last time tell all others, to half a millisecond.

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
    return write_or_remove(Path(folder) / NAME, json.dumps(content) + '\n' if content else None)


def read_times(folder: Path | str, frames: Mapping[str, int]) -> dict[str, NDArray[np.float64]]:
    """Seconds at which each frame is shown, (frames,) by video, of those whose times are known.

    Args:
        folder: of the prediction files.
        frames: of each video that is known; others are omitted.

    Raises:
        DataError: the file is damaged, or holds other numbers of frames.
    """
    path = Path(folder) / NAME
    if not path.is_file():
        return {}
    found = {}
    try:
        for video, entry in read_json(path).items():
            length = frames.get(video)
            if length is None:
                continue
            if entry['frames'] != length:
                raise ValueError(
                    f'{entry["frames"]} frames of video {video}, whose predictions have {length}'
                )
            found[video] = _times(video, length, entry)
    except (DataError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f'{path} is damaged or of another test ({error}); write it again with: python tools/test.py RUN'
        ) from error
    return found


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
