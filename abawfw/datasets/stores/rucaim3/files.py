"""The HDF5 files of the RUCAIM3 layout, one video at a time."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from abawfw.conventions import TARGETS
from abawfw.datasets.stores.records import PARTITIONS, VideoInfo
from abawfw.datasets.stores.rucaim3.hdf5_reader import MAX_NUMBERS, MAX_ROWS, HDF5Reader, readable_name
from abawfw.errors import DataError


class RUCAIM3Files:
    """Access to what lies on disk, so narrow that a broken part does not hide the others.

    Every method fails for one file or one video only, with a DataError that names it.

    Args:
        root: folder with ``targets/`` and ``features/`` (docs/rucaim3.md, Layout of the data).

    Raises:
        DataError: if there is no targets file.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._reader = HDF5Reader(root)
        self.partitions = [p for p in PARTITIONS if self.targets_path(p).exists()]
        if not self.partitions:
            raise DataError(
                f'{root}: no targets/train_valid_targets.h5, nor one of val or test; this is not the '
                'root of a data set in the HDF5 layout of RUCAIM3'
            )

    def targets_path(self, partition: str) -> Path:
        """Where labels and lengths of a partition lie."""
        return _file(self.root, 'targets', f'{partition}_valid_targets.h5')

    def feature_path(self, partition: str, feature: str) -> Path:
        """Where a feature of a partition lies."""
        return _file(self.root, 'features', f'{partition}_{feature}.h5')

    def features(self) -> dict[str, list[str]]:
        """Every feature, sorted by name, with the partitions (of those with targets) that have it."""
        found: dict[str, list[str]] = {}
        for partition in self.partitions:
            for path in sorted((self.root / 'features').glob(f'{partition}_*.h5')):
                name = readable_name(path.stem.removeprefix(f'{partition}_'), path.parent)
                found.setdefault(name, []).append(partition)
        return dict(sorted(found.items()))

    def video_ids(self, partition: str) -> list[str]:
        """Names of a partition's videos, in the order of the groups of its targets file."""
        return self._reader.groups(self.targets_path(partition))

    def video(self, partition: str, video_id: str) -> VideoInfo:
        """Length, frame rate and existence of labels of a video."""
        path = self.targets_path(partition)
        names = self._reader.names(path, video_id) or ()
        present = [name for name in TARGETS if name in names]
        lengths = {name: self._column(path, video_id, name) for name in present}
        if 'length' in names:
            length = self._reader.number(path, video_id, 'length')
            if not 0 <= length <= MAX_ROWS or length % 1:
                raise DataError(
                    f'{path}: length of {video_id!r} is {length:g}, expected a number of frames up to '
                    f'{MAX_ROWS:,}; write the targets of this video again'
                )
            lengths['length'] = int(length)
        fps = self._reader.number(path, video_id, 'fps') if 'fps' in names else None
        if fps is not None and fps <= 0:
            raise DataError(
                f'{path}: fps of {video_id!r} is {fps:g}, expected frames per second; remove it if unknown'
            )
        if not lengths or len(present) == 1 or len(set(lengths.values())) > 1:
            raise DataError(
                f'{path}: video {video_id!r} has {lengths or "nothing"}; expected valence, arousal and '
                'length that agree, or length alone (no labels). Write the targets of this video again'
            )
        return VideoInfo(video_id, partition, next(iter(lengths.values())), fps, bool(present))

    def labels(self, video: VideoInfo, start: int, stop: int) -> np.ndarray:
        """Labels as on disk, (stop - start, 2)."""
        path = self.targets_path(video.partition)
        with self._reader.reading(path):
            columns = [self._reader.array(path, video.video_id, name) for name in TARGETS]
            return np.stack([column[start:stop].reshape(-1) for column in columns], axis=1)

    def shape(self, video: VideoInfo, feature: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape (frames, *dims) and type of a feature of a video, without reading it."""
        path = self.feature_path(video.partition, feature)
        array = self._reader.array(path, video.video_id, 'fts')
        if array.ndim < 2:
            raise DataError(
                f'{path}: fts of {video.video_id!r} has shape {array.shape}, expected (frames, dims)'
            )
        return array.shape, array.dtype

    def read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        """Frames of a feature as on disk, (stop - start, *dims); fewer if the file has fewer."""
        path = self.feature_path(video.partition, feature)
        with self._reader.reading(path):
            return np.asarray(self._reader.array(path, video.video_id, 'fts')[start:stop])

    def observed(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray | None:
        """Where a feature was observed, (stop - start,) bool; None if the file does not say."""
        path = self.feature_path(video.partition, feature)
        if 'valid' not in (self._reader.names(path, video.video_id) or ()):
            return None
        with self._reader.reading(path):
            self._column(path, video.video_id, 'valid')
            return self._reader.array(path, video.video_id, 'valid')[start:stop].reshape(-1) != 0

    def unwritten(self, video: VideoInfo, feature: str) -> tuple[int, int]:
        """Chunks of a feature of a video that were never written and read as 0, and all its chunks."""
        return self._reader.unwritten(self.feature_path(video.partition, feature), video.video_id, 'fts')

    def moments_path(self, feature: str) -> Path:
        """Where mean and deviation of a feature over train lie."""
        return self.root / 'features' / 'mean_std_on_trn' / f'{feature}.h5'

    def train_moments(self, feature: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Stored mean and deviation of train, (*dims) float64 each; None if there is no file."""
        path = self.moments_path(feature)
        if not path.exists():
            return None
        with self._reader.reading(path):
            arrays = [self._reader.array(path, 'train', name) for name in ('mean', 'std')]
            if any(array.size > MAX_NUMBERS for array in arrays):
                raise DataError(f'{path}: more than {MAX_NUMBERS:,} numbers per frame cannot be read')
            mean, std = (np.asarray(array[()], dtype=np.float64) for array in arrays)
        if mean.shape != std.shape or not np.isfinite([mean, std]).all():
            raise DataError(
                f'{path}: mean {mean.shape} and std {std.shape} must be finite and of one shape; remove this '
                'file, and both are computed from train'
            )
        return mean, std

    def _column(self, path: Path, video_id: str, name: str) -> int:
        """Rows of an array of one number per frame, (frames,) or (frames, 1)."""
        shape = self._reader.array(path, video_id, name).shape
        if len(shape) != 1 and shape[1:] != (1,):
            raise DataError(
                f'{path}: {name} of {video_id!r} has shape {shape}, expected (frames,); write it again'
            )
        return int(shape[0])


@functools.cache  # looked up several times per clip, and joining paths and comparing new ones is slow
def _file(root: Path, folder: str, name: str) -> Path:
    return root / folder / name
