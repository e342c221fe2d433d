"""The files of the npy-per-trial layout, one trial at a time, and what extraction leaves beside features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.stores.npy_file import NUMBERS, check_truth, read_array, read_arrays, read_header
from abawfw.datasets.stores.records import DAMAGED, KEPT_DTYPES, FeatureInfo, Problem, VideoInfo
from abawfw.datasets.stores.trials.index import Trial, TrialIndex
from abawfw.errors import DataError, counted
from abawfw.evaluation.functional import stretches

LABELS = 'VA_continuous_label'
MASK = '_valid'
TIMES = 'frame_times'
NO_FEATURE = ('_label', MASK, TIMES)
"""Ends of names of arrays that are no features: labels of any task, masks, and times of frames."""


class TrialFiles:
    """Access to what lies on disk, so narrow that a broken trial does not hide the others.

    Every method fails for one trial only, with a DataError that names the file. Headers are read once and
    kept; nothing stays open.

    Args:
        root: folder with trials.json or dataset_info.pkl (docs/tagf.md, Preprocessing).

    Raises:
        DataError: if there is no index, or it cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.index = TrialIndex.read(root)
        self._names: dict[str, frozenset[str]] = {}
        self._arrays: dict[tuple[str, str], TrialArray] = {}

    def features(self, trial: Trial) -> set[str]:
        """Names of the features that a trial has."""
        return {name for name in self.names(trial) if not name.endswith(NO_FEATURE)}

    def names(self, trial: Trial) -> frozenset[str]:
        """Names of all arrays of a trial."""
        if trial.info.video_id not in self._names:
            try:
                found = frozenset(path.stem for path in trial.folder.iterdir() if path.suffix == '.npy')
            except OSError as error:
                raise DataError(
                    f'{trial.folder}: {error.strerror}; {self.index.source} lists trial '
                    f'{trial.info.video_id!r} with {trial.info.num_frames} frames: copy its arrays there, or '
                    'take it out of the list'
                ) from None
            self._names[trial.info.video_id] = found
        return self._names[trial.info.video_id]

    def video(self, trial: Trial) -> VideoInfo:
        """What the store says of a trial; looks at the header of its labels."""
        info = trial.info
        has_labels = LABELS in self.names(trial)
        path = trial.folder / f'{LABELS}.npy'
        if info.has_labels and not has_labels:
            raise DataError(
                f'{path}: no such file, and trial {info.video_id!r} is in partition {info.partition!r}, '
                'which needs labels; write them, or list the trial as of the test set'
            )
        if has_labels:
            shape = self.array(trial, LABELS).shape
            if shape != (info.num_frames, 2):
                raise DataError(
                    f'{path}: labels of trial {info.video_id!r} have shape {shape}, '
                    f'{self.index.source.name} says {(info.num_frames, 2)}: one row per frame, columns '
                    'valence and arousal'
                )
        return replace(info, has_labels=has_labels)

    def array(self, trial: Trial, name: str) -> TrialArray:
        """An array of a trial, its header read."""
        key = (trial.info.video_id, name)
        if key not in self._arrays:
            self._arrays[key] = TrialArray(trial.folder / f'{name}.npy')
        return self._arrays[key]

    def info(self, trial: Trial, feature: str) -> FeatureInfo:
        """Shape and type of a feature by the array of one trial."""
        array = self.array(trial, feature)
        if len(array.shape) < 2:
            raise DataError(
                f'{array.path}: has shape {array.shape}, expected (frames, dims); a feature of one number '
                'per frame is (frames, 1)'
            )
        return FeatureInfo(tuple(array.shape[1:]), array.dtype)

    def has_mask(self, trial: Trial, feature: str) -> bool:
        """Whether a file says where the feature was observed."""
        if trial.masked is not None:
            return feature in trial.masked
        return feature + MASK in self.names(trial)

    def observed(self, trial: Trial, feature: str, start: int, stop: int) -> np.ndarray | None:
        """Where a feature was observed, (stop - start,) bool; None if unknown.

        Without a mask, a frame of bytes that are all zero was not observed: crops are black where no face was
        found (docs/tagf.md, What differs, and why).
        """
        if self.has_mask(trial, feature):
            mask = self.array(trial, feature + MASK)
            if (mask.shape, mask.dtype) != ((trial.info.num_frames,), 'bool'):
                raise DataError(
                    f'{mask.path}: holds {mask.dtype} of shape {mask.shape}, expected bool of shape '
                    f'{(trial.info.num_frames,)}, one per frame of trial {trial.info.video_id!r}'
                )
            return mask.read(start, stop).astype(bool)
        array = self.array(trial, feature)
        if array.dtype != 'uint8':
            return None
        return np.asarray(array.read(start, stop).any(axis=tuple(range(1, len(array.shape)))))


def given_dtype(stored: str) -> str:
    """Name of the type that is handed out of a type on disk."""
    return stored if stored in KEPT_DTYPES else 'float32'


class TrialArray:
    """An array (frames, *dims) on disk of which stretches are read into fresh memory.

    Only the header is read here. The file is opened for each read and closed again: a data set has thousands
    of such files, more than a process may hold open, and nothing open can cross a fork or a pickle.

    Args:
        path: a .npy file.

    Raises:
        DataError: the file is missing, damaged or no plain file, or holds anything but numbers; Python
            objects in it are never loaded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            header = read_header(path)
        except FileNotFoundError:
            raise DataError(f'{path}: no such file') from None
        except (OSError, ValueError) as error:
            raise DataError(f'{path}: {error}: {DAMAGED}') from error
        self.shape, self._columns_first, self._stored, self._offset, _ = header
        if self._stored.kind not in NUMBERS:
            raise DataError(
                f'{path}: holds {self._stored} of shape {self.shape}, expected numbers (float, int, uint8 or '
                'bool), one row per frame; write it again as such'
            )

    @property
    def dtype(self) -> str:
        """Name of the type on disk, whatever its byte order."""
        return self._stored.name

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop``, (stop - start, *shape[1:])."""
        shape = (stop - start, *self.shape[1:])
        row = int(np.prod(self.shape[1:], dtype=np.int64))
        try:
            if self._columns_first:  # as pandas writes its tables: rows do not lie together
                mapped = np.memmap(self.path, self._stored, 'r', self._offset, self.shape, order='F')
                values = np.array(mapped[start:stop], order='C', subok=False)
            else:
                offset = self._offset + start * row * self._stored.itemsize
                values = np.fromfile(self.path, self._stored, (stop - start) * row, offset=offset)
                values = values.reshape(shape)
        except (OSError, ValueError) as error:
            raise DataError(f'{self.path}: rows {start} to {stop}: {DAMAGED} ({error})') from error
        check_truth(values, self.path)
        return np.asarray(values, dtype=given_dtype(self.dtype))


TRACK = 'face_track.npz'
IRREGULAR = 0.5
"""Fraction of the median step by which another step is irregular."""


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
            lengths = np.diff(stretches(missing))
            text += f', in {counted(len(lengths), "run")}, the longest {counted(lengths.max(), "frame")}'
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
