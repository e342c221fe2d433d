"""The native store: one array per feature, all videos back to back, and an index."""

from __future__ import annotations

import os
import weakref
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from abawfw.datasets.stores.base import FeatureStore, RunningMoments
from abawfw.datasets.stores.checks import check_videos, chunks
from abawfw.datasets.stores.npy_file import check_truth, read_header
from abawfw.datasets.stores.packed.index import INDEX, PackedIndex
from abawfw.datasets.stores.records import FeatureInfo, Problem, VideoInfo, with_groups
from abawfw.datasets.stores.stated_moments import refuse_stale
from abawfw.datasets.stores.survey import StoreSurvey, Survey
from abawfw.errors import DataError
from abawfw.registry import STORES


@STORES.register_module()
class PackedStore(FeatureStore):
    """Features and labels as plain .npy files; start-up and memory do not grow with the data.

    In the folder (``frames`` counts those of all videos, one after another):

    - ``index.json``: which video lies where, shape and type of every feature, and a checksum of each array of
      each video, which ``tools/check_data.py`` verifies;
    - ``labels.npy``: (frames, 2) float32, NaN where there is no valid label;
    - ``feature_NAME.npy``: (frames, *dims);
    - ``moments_NAME.npy``: (videos, 2, *dims) float64, mean and sum of squared deviations of every video,
      from which the statistics of any fold follow without a pass over the data;
    - ``valid_NAME.npy``: (frames,) bool, where some frames of the feature were not observed, and
      ``observed_moments_NAME.npy``, the same sums over the frames that were;
    - ``times.npy``: (frames,) float64 seconds, where the source knew more than the frame rates; NaN for a
      video without times.

    Args:
        root: folder written by tools/pack_features.py.

    Raises:
        DataError: the index is missing, damaged or of another version, or a file disagrees with it.
    """

    marks = (INDEX,)

    def __init__(self, root: str | Path) -> None:
        super().__init__(root)
        self._index = PackedIndex.read(self.root)
        check_videos(self._index.videos, self.root)
        self._videos = with_groups(self.root, self._index.videos)
        frames, videos = self._index.num_frames, len(self._index.videos)
        self._arrays = {'labels': self._open('labels', (frames, 2), 'float32')}
        if self._index.timed:
            self._arrays['times'] = self._open('times', (frames,), 'float64')
        for name, info in self._index.features.items():
            shapes = {f'feature_{name}': ((frames, *info.dims), info.dtype)}
            shapes[f'moments_{name}'] = sums = (videos, 2, *info.dims), 'float64'
            if name in self._index.masked:
                shapes[f'valid_{name}'] = (frames,), 'bool'
                observed = f'observed_moments_{name}'
                if (self.root / f'{observed}.npy').exists():  # stores packed by earlier versions have none
                    shapes[observed] = sums
            self._arrays |= {array: self._open(array, *shape) for array, shape in shapes.items()}

    @classmethod
    def survey(cls, root: str | Path) -> Survey:
        """A view that verifies checksums."""
        return PackedSurvey(cls(root))

    def videos(self) -> tuple[VideoInfo, ...]:
        """All videos, in the order of the store that was packed."""
        return self._videos

    def features(self) -> dict[str, FeatureInfo]:
        """All features, by name."""
        return self._index.features

    def times(self, video_id: str) -> np.ndarray | None:
        """Seconds at which each frame is shown: times.npy, or else by the frame rate."""
        video = self.video(video_id)
        if 'times' not in self._arrays:
            return super().times(video_id)
        times = self._rows('times', video, 0, video.num_frames)
        return None if np.isnan(times).all() else times

    def checksum(self, video_id: str, feature: str) -> int | None:
        """By the index."""
        known = self._index.checksums.get(f'feature_{feature}')
        return known[self._index.rows[video_id]] if known else None

    def without_checksums(self) -> list[str]:
        """Names of the arrays without checksums: all of those of a store packed by an earlier version."""
        return [name for name in self._arrays if name not in self._index.checksums]

    def damaged(self, video_id: str, feature: str = '') -> list[str]:
        """Names of the arrays in which the rows of a video are not those that were packed.

        Args:
            video_id: name of the video.
            feature: name of the feature whose arrays are looked at; otherwise labels and times are.
        """
        video = self.video(video_id)
        kinds = ('feature', 'moments', 'valid', 'observed_moments')
        names = [f'{kind}_{feature}' for kind in kinds] if feature else ['labels', 'times']
        row = self._index.rows[video_id]
        wrong = []
        for name in names:
            if name not in self._arrays or name not in self._index.checksums:
                continue
            array, checksum = self._arrays[name], 0
            if name.startswith(('moments_', 'observed_moments_')):
                first, rows = row, 1
            else:
                first, rows = self._index.offsets[video_id], video.num_frames
            try:
                for start, stop in chunks(rows, array.shape[1:]):
                    checksum = zlib.crc32(array.read(first + start, first + stop).data, checksum)
            except DataError:
                checksum = -1
            if checksum != self._index.checksums[name][row]:
                wrong.append(name)
        return wrong

    def has_mask(self, video_id: str, feature: str) -> bool:
        """A mask is packed where some frame of some video was not observed."""
        return feature in self._index.masked

    def summary(self, feature: str, video_ids: Sequence[str], observed: bool = False) -> RunningMoments:
        """From the sums that were kept per video.

        Raises:
            DataError: they are not those of the frames, of which a sample is looked at.
        """
        masked = observed and f'valid_{feature}' in self._arrays
        name = f'observed_moments_{feature}' if masked else f'moments_{feature}'
        if name not in self._arrays:
            return super().summary(feature, video_ids, observed)
        summary = self._kept(name, feature, video_ids, masked)
        self._check_not_empty(summary, feature, video_ids)
        refuse_stale(self, feature, video_ids, _stated(summary), self._arrays[name].path, REPACK, masked)
        return summary

    def train_moments(self, feature: str) -> tuple[np.ndarray, np.ndarray] | None:
        """What was kept as mean and standard deviation over train, (*dims) each; None without such videos."""
        train = [video.video_id for video in self._videos if video.partition == 'train']
        return _stated(self._kept(f'moments_{feature}', feature, train)) if train else None

    def _kept(self, name: str, feature: str, ids: Sequence[str], masked: bool = False) -> RunningMoments:
        summary = RunningMoments(self.feature(feature).dims)
        for video_id in ids:
            video = self.video(video_id)
            row = self._index.rows[video_id]
            ((mean, m2),) = self._arrays[name].read(row, row + 1)
            count = video.num_frames
            if masked:
                count = int(np.count_nonzero(self._observed(video, feature, 0, video.num_frames)))
            with np.errstate(all='ignore'):  # a damaged file may hold any number
                summary.merge(count, mean, m2)
        return summary

    def _read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        return self._rows(f'feature_{feature}', video, start, stop)

    def _observed(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        if f'valid_{feature}' not in self._arrays:
            return super()._observed(video, feature, start, stop)
        return self._rows(f'valid_{feature}', video, start, stop)

    def _labels(self, video: VideoInfo, start: int, stop: int) -> np.ndarray:
        return self._rows('labels', video, start, stop)

    def _open(self, name: str, shape: tuple[int, ...], dtype: str) -> PackedArray:
        return PackedArray(self.root / f'{name}.npy', shape, dtype)

    def _rows(self, name: str, video: VideoInfo, start: int, stop: int) -> np.ndarray:
        offset = self._index.offsets[video.video_id]
        return self._arrays[name].read(offset + start, offset + stop)


def _stated(kept: RunningMoments) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(all='ignore'):
        return kept.result()


REPACK = 'pack the store again (tools/pack_features.py --overwrite)'
HALF_WRITTEN = 'the store is half-written or damaged: pack it again (tools/pack_features.py --overwrite)'


class PackedArray:
    """An array on disk of which stretches are read into fresh memory.

    Positioned reads instead of a memory map: mapped pages would count as memory of the process, which
    would then grow with the data it has touched. A positioned read needs no shared file position, so that one
    open file serves a process and its forks; a pickle opens its own.

    Args:
        path: a .npy file.
        shape: the shape it must have.
        dtype: the numpy name of the type it must have.

    Raises:
        DataError: the file is missing, has another shape or type, or has not the length that its shape asks.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.path, self.shape, self.dtype = path, tuple(shape), np.dtype(dtype)
        try:
            header = read_header(path)
            size = path.stat().st_size - header.offset
        except (OSError, ValueError) as error:
            raise DataError(f'{path}: {error}; {HALF_WRITTEN}') from error
        self._offset = header.offset
        if header[:3] != (self.shape, False, self.dtype):
            raise DataError(
                f'{path}: holds {header.dtype} {header.shape}, '
                f'the index says {self.dtype} {self.shape}; {HALF_WRITTEN}'
            )
        expected = self._row * self.shape[0]
        if size != expected:
            raise DataError(f'{path}: {size} bytes of data, the index says {expected}; {HALF_WRITTEN}')
        self._descriptor: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {'_descriptor': None}

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop``, (stop - start, *shape[1:])."""
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        view = out.reshape(-1).view(np.uint8).data
        position = self._offset + start * self._row
        while len(view):
            count = os.preadv(self._open(), [view], position)
            if not count:
                raise DataError(f'{self.path}: ends before row {stop}; {HALF_WRITTEN}')
            view, position = view[count:], position + count
        check_truth(out, self.path)
        return out

    @property
    def _row(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def _open(self) -> int:
        if self._descriptor is None:
            try:
                self._descriptor = os.open(self.path, os.O_RDONLY)
            except OSError as error:
                raise DataError(f'{self.path}: {error.strerror}; {HALF_WRITTEN}') from error
            weakref.finalize(self, os.close, self._descriptor)
        return self._descriptor


class PackedSurvey(StoreSurvey):
    """The survey of a packed store.

    Args:
        store: the store.
    """

    statistics_way_out = REPACK

    def __init__(self, store: PackedStore) -> None:
        super().__init__(store)
        self._packed = store
        self._moments = {name: store.train_moments(name) for name in store.features()}
        if without := store.without_checksums():
            text = (
                f'no checksums to verify of {", ".join(without)}: packed by an earlier version; '
                'pack the store again to have them'
            )
            self._problems.append(Problem('note', 'checksum', text))

    def integrity(self, video: VideoInfo, features: Sequence[str]) -> list[Problem]:
        """Arrays of a video that are not what was packed."""
        return [
            Problem(
                'error',
                'checksum',
                f'{self._packed.root / name}.npy: the values of this video are not those that were packed, '
                'their checksum differs; copy the store again from a whole copy, or pack it again',
                video.partition,
                video.video_id,
                feature,
            )
            for feature in ('', *features)
            for name in self._packed.damaged(video.video_id, feature)
        ]
