"""The HDF5 files of the RUCAIM3 layout, one video at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from abawfw.datasets.stores.base import PARTITIONS, VideoInfo
from abawfw.datasets.stores.labels import NO_LABEL
from abawfw.errors import DataError, nearest

OPEN_ARRAYS = (
    256  # looking an array up takes HDF5 longer than reading a clip of it; each may hold a MB of chunks
)
DAMAGED = 'truncated or damaged: copy or write this file again'


class RUCAIM3Files:
    """Access to what lies on disk, so narrow that a broken part does not hide the others.

    Every method fails for one file or one video only, with a DataError that names it. Files are opened
    at their first use in a process: a fork or a pickle never carries an open one.

    Args:
        root: folder with ``targets/`` and ``features/`` (spec/rucaim3.md).

    Raises:
        DataError: if there is no targets file.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._handles: dict[Path, h5py.File] = {}
        self._arrays: dict[tuple[Path, str, str], h5py.Dataset] = {}
        self._pid = os.getpid()
        self.partitions = [p for p in PARTITIONS if self.targets_path(p).exists()]
        if not self.partitions:
            raise DataError(
                f'{root}: no targets/train_valid_targets.h5, nor one of val or test; this is not the '
                'root of a data set in the HDF5 layout of RUCAIM3'
            )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {'_handles': {}, '_arrays': {}}

    def targets_path(self, partition: str) -> Path:
        """Where labels and lengths of a partition lie."""
        return self.root / 'targets' / f'{partition}_valid_targets.h5'

    def feature_path(self, partition: str, feature: str) -> Path:
        """Where a feature of a partition lies."""
        return self.root / 'features' / f'{partition}_{feature}.h5'

    def features(self) -> dict[str, list[str]]:
        """Every feature, sorted by name, with the partitions (of those with targets) that have it."""
        found: dict[str, list[str]] = {}
        for partition in self.partitions:
            for path in sorted((self.root / 'features').glob(f'{partition}_*.h5')):
                found.setdefault(path.stem.removeprefix(f'{partition}_'), []).append(partition)
        return dict(sorted(found.items()))

    def video_ids(self, partition: str) -> list[str]:
        """Names of a partition's videos, in the order of the groups of its targets file."""
        path = self.targets_path(partition)
        with self._reading(path) as file:
            return list(file)

    def video(self, partition: str, video_id: str) -> VideoInfo:
        """Length, frame rate and existence of labels of a video."""
        path = self.targets_path(partition)
        with self._reading(path) as file:
            group = file[video_id]
            present = [name for name in ('valence', 'arousal') if name in group]
            lengths = {name: group[name].shape[0] for name in present}
            for name in present:
                _check_numbers(
                    group[name], path, video_id, name, f'write it as float32, {NO_LABEL:g} for none'
                )
            if 'length' in group:
                lengths['length'] = int(group['length'][()])
            fps = float(group['fps'][()]) if 'fps' in group else None
        if not lengths or len(present) == 1 or len(set(lengths.values())) > 1:
            raise DataError(
                f'{path}: video {video_id!r} has {lengths or "nothing"}; expected valence, arousal and '
                'length that agree, or length alone (no labels). Write the targets of this video again'
            )
        return VideoInfo(video_id, partition, next(iter(lengths.values())), fps, bool(present))

    def labels(self, video: VideoInfo, start: int, stop: int) -> np.ndarray:
        """Labels as on disk, (stop - start, 2)."""
        path = self.targets_path(video.partition)
        with self._reading(path) as file:
            columns = [self._array(file, path, video.video_id, name) for name in ('valence', 'arousal')]
            return np.stack([column[start:stop] for column in columns], axis=1)

    def shape(self, video: VideoInfo, feature: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape (frames, *dims) and type of a feature of a video, without reading it."""
        path = self.feature_path(video.partition, feature)
        with self._group(video, feature) as group:
            array = group['fts']
            shape, dtype = array.shape, array.dtype
            _check_numbers(array, path, video.video_id, 'fts', 'extract it again')
        if len(shape) < 2:
            raise DataError(
                f'{path}: fts of video {video.video_id!r} has shape {shape}, expected (frames, dims)'
            )
        return shape, dtype

    def read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        """Frames of a feature as on disk, (stop - start, *dims); fewer if the file has fewer."""
        path = self.feature_path(video.partition, feature)
        with self._reading(path) as file:
            return np.asarray(self._array(file, path, video.video_id, 'fts')[start:stop])

    def valid(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray | None:
        """Where a feature was observed, (stop - start,) bool; None if the file does not say."""
        with self._group(video, feature) as group:
            return np.asarray(group['valid'][start:stop]) != 0 if 'valid' in group else None

    def train_moments(self, feature: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Stored mean and deviation of train, (*dims) float64 each; None if there is no file."""
        path = self.root / 'features' / 'mean_std_on_trn' / f'{feature}.h5'
        if not path.exists():
            return None
        with self._reading(path) as file:
            mean, std = (np.asarray(file['train'][name], dtype=np.float64) for name in ('mean', 'std'))
        if mean.shape != std.shape or not np.isfinite([mean, std]).all():
            raise DataError(
                f'{path}: mean {mean.shape} and std {std.shape} must be finite and of one shape; remove this '
                'file, and both are computed from train'
            )
        return mean, std

    def _array(self, file: h5py.File, path: Path, video_id: str, name: str) -> h5py.Dataset:
        """An array of a video, kept open."""
        key = (path, video_id, name)
        if key not in self._arrays:
            if len(self._arrays) >= OPEN_ARRAYS:
                del self._arrays[next(iter(self._arrays))]  # the oldest
            self._arrays[key] = file[video_id][name]
        return self._arrays[key]

    @contextmanager
    def _group(self, video: VideoInfo, feature: str) -> Iterator[h5py.Group]:
        path = self.feature_path(video.partition, feature)
        with self._reading(path) as file:
            group = file.get(video.video_id)
            if group is None:
                raise DataError(f'{path}: no video {video.video_id!r}; {nearest(video.video_id, file)}')
            if 'fts' not in group:
                raise DataError(f'{path}: video {video.video_id!r} has no array fts, only {list(group)}')
            yield group

    @contextmanager
    def _reading(self, path: Path) -> Iterator[h5py.File]:
        """The open file; what goes wrong inside becomes a DataError that names it."""
        if self._pid != os.getpid():  # after a fork: the parent's files are not ours
            self._handles, self._arrays, self._pid = {}, {}, os.getpid()
        try:
            if path not in self._handles:
                self._handles[path] = h5py.File(path, 'r')
            yield self._handles[path]
        except FileNotFoundError:
            raise DataError(f'{path}: no such file') from None
        except (OSError, RuntimeError, KeyError, ValueError, AttributeError, TypeError) as error:
            raise DataError(f'{path}: {DAMAGED} ({error})') from error


def _check_numbers(array: h5py.Dataset, path: Path, video_id: str, name: str, way_out: str) -> None:
    if array.dtype.kind not in 'fiub':
        first = f' such as {array[0]!r}' if array.size else ''
        raise DataError(
            f'{path}: {name} of video {video_id!r} holds no numbers, but {array.dtype}{first}; {way_out}'
        )
