"""What extraction leaves beside the features of a trial: times of the frames, and the track of the face."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.stores.npy_file import read_array, read_arrays
from abawfw.datasets.stores.records import Problem
from abawfw.datasets.stores.trials.files import TIMES, TrialArray
from abawfw.errors import DataError, counted

TRACK = 'face_track.npz'
IRREGULAR = 0.5
"""Share of the median step by which another step is irregular."""


def problems_of(folder: Path, num_frames: int, partition: str, video_id: str) -> list[Problem]:
    """What is wrong with, or worth knowing of, the times and faces of a trial.

    Args:
        folder: of the trial; files that are not there are no problem.
        num_frames: frames of the trial.
        partition: of the trial.
        video_id: its name.
    """
    found = []
    for look in (_time_problems, _face_problems):
        try:
            found += list(look(folder, num_frames))
        except DataError as error:
            found.append(('error', 'unreadable', str(error)))
    return [Problem(severity, check, text, partition, video_id) for severity, check, text in found]


def _time_problems(folder: Path, num_frames: int) -> Iterator[tuple[str, str, str]]:
    path = folder / f'{TIMES}.npy'
    if not path.is_file():
        return
    array = TrialArray(path)
    if (array.shape, array.dtype) != ((num_frames,), 'float64'):
        text = f'{path}: {array.dtype} of shape {array.shape}, expected float64 of {(num_frames,)}'
        yield 'error', 'times', f'{text}; extract it again'
        return
    times = read_array(path)
    steps = np.diff(times)
    backwards = ~(steps > 0)
    if backwards.any():
        first = int(backwards.argmax())
        text = (
            f'{int(backwards.sum())} frames are not later than the one before, first frame {first + 1} at '
            f'{times[first + 1]:g} s after {times[first]:g} s; write the video again with increasing times'
        )
        yield 'error', 'times', text
    elif len(steps):
        median = float(np.median(steps))
        irregular = np.abs(steps - median) > IRREGULAR * median
        if irregular.any():
            longest = int(steps.argmax())
            text = (
                f'irregular: {int(irregular.sum())} of {len(steps)} steps differ from the usual '
                f'{1000 * median:.1f} ms by more than half of it, the longest {steps[longest]:.3g} s after '
                f'frame {longest}'
            )
            yield 'note', 'times', text


def _face_problems(folder: Path, num_frames: int) -> Iterator[tuple[str, str, str]]:
    path = folder / TRACK
    if not path.is_file():
        return
    found, filled = read_track(path, num_frames)
    missing = ~(found | filled)
    held = int((filled & ~found).sum())
    if missing.any() or held:
        text = f'no face in {int(missing.sum())} of {num_frames} frames'
        if missing.any():
            edges = np.flatnonzero(np.diff(np.concatenate([[0], missing.astype(np.int8), [0]])))
            runs = edges[1::2] - edges[::2]
            text += f', in {counted(len(runs), "run")}, the longest {counted(runs.max(), "frame")}'
            text += f'; first in frame {int(missing.argmax())}'
        text += f'; held over a short gap in {held} more' if held else ''
        yield 'note', 'faces', text


def read_track(path: Path, num_frames: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where a face was found, and where it was held over a gap, (frames,) both.

    Raises:
        DataError: the file is damaged, or of another number of frames.
    """
    try:
        arrays = read_arrays(path, ('found', 'filled'))
    except DataError as error:
        raise DataError(f'{error}, or extract this video again') from None
    found, filled = arrays['found'], arrays['filled']
    for array in (found, filled):
        if (array.shape, array.dtype) != ((num_frames,), np.bool_):
            raise DataError(
                f'{path}: {array.dtype} of shape {array.shape}, expected bool of {(num_frames,)}; extract '
                'this video again'
            )
    return found, filled
