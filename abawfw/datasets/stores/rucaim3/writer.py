"""Writes the HDF5 layout of RUCAIM3."""

from __future__ import annotations

import os
from collections.abc import Mapping

import h5py
import numpy as np
from numpy.typing import NDArray

from abawfw.conventions import NO_LABEL
from abawfw.datasets.stores.base import RunningMoments
from abawfw.datasets.stores.labels import unlabelled_frames
from abawfw.datasets.stores.records import GROUPS, NARROW_DTYPES
from abawfw.datasets.stores.rucaim3.files import PARTITIONS
from abawfw.datasets.stores.rucaim3.hdf5_reader import readable_name
from abawfw.errors import DataError
from abawfw.files import FolderWriter
from abawfw.groups import Groups


class RUCAIM3Writer(FolderWriter):
    """Write a data set in the HDF5 layout of RUCAIM3 (docs/rucaim3.md), one video at a time.

    Everything goes to a temporary folder beside ``root``, which is renamed when the ``with`` block ends and
    removed when it fails: a half-written data set never carries the final name. Videos keep the order in
    which they are added. Mean and population deviation over all frames of the training partition go to
    ``features/mean_std_on_trn``. Shapes and names are checked here, values when they are read.

    Args:
        root: Folder to make; it may exist only if it is empty.
        features: Shape of one frame of every feature, without the frame axis.

    Raises:
        DataError: If ``root`` exists and is not an empty folder.
    """

    def __init__(self, root: str | os.PathLike[str], features: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__(root)
        self.features = {name: tuple(dims) for name, dims in features.items()}
        self._files: dict[str, h5py.File] = {}
        self._partition_of: dict[str, str] = {}
        self._groups: dict[str, str] = {}
        self._ungrouped: list[str] = []
        self._moments = {name: RunningMoments(dims) for name, dims in self.features.items()}

    def add(
        self,
        video_id: str,
        partition: str,
        features: Mapping[str, NDArray],
        labels: NDArray | None = None,
        valid: Mapping[str, NDArray] | None = None,
        fps: float | None = None,
        group: str | None = None,
    ) -> None:
        """Append one video to its partition.

        Args:
            video_id: Name of the video, unique within the data set.
            partition: ``train``, ``val`` or ``test``.
            features: For every feature of the data set an array (frames, *dims). float16 and uint8 are kept,
                anything else becomes float32.
            labels: (frames, 2) valence and arousal; NaN in either column is stored as -5 in both. None: the
                video has no labels and only its length is stored.
            valid: (frames,) bool for the features that have such a mask; False where nothing was observed.
            fps: Frames per second, stored beside the length if given.
            group: The person or session that the video shares with others; of all videos with labels or of
                none. Stored in ``groups.csv``.

        Raises:
            DataError: If the video is there already, or a feature, a shape or a length does not fit.
        """
        valid = valid or {}
        num_frames = self._check(video_id, partition, features, labels, valid)
        self._partition_of[video_id] = partition
        if group is not None:
            self._groups[video_id] = group
        elif labels is not None:
            self._ungrouped.append(video_id)
        targets = self._file(f'targets/{partition}_valid_targets.h5').create_group(video_id)
        targets['length'] = np.int64(num_frames)
        if fps is not None:
            targets['fps'] = np.float64(fps)
        if labels is not None:
            columns = np.array(labels, np.float32)
            columns[unlabelled_frames(columns)] = NO_LABEL
            targets['valence'], targets['arousal'] = columns[:, 0], columns[:, 1]
        for name in self.features:
            values = np.asarray(features[name])
            if values.dtype.name not in NARROW_DTYPES:
                values = values.astype(np.float32, copy=False)
            place = self._file(f'features/{partition}_{name}.h5').create_group(video_id)
            place['fts'] = values
            if name in valid:
                place['valid'] = np.asarray(valid[name], np.int32)
            if partition == 'train':
                self._moments[name].add(values)

    def _complete(self) -> None:
        """Write the statistics of train, and the groups.

        Raises:
            DataError: If no video was added, or only some of those with labels have a group.
        """
        if not self._partition_of:
            raise DataError(f'{self.root}: no video was added, nothing is written')
        if self._groups and self._ungrouped:
            raise DataError(
                f'{self.root}: {self._ungrouped[0]} has no group, but {next(iter(self._groups))} has one: '
                'give each video with labels a group, or none; nothing is written'
            )
        for name, moments in self._moments.items():
            if moments.count:
                group = self._file(f'features/mean_std_on_trn/{name}.h5').create_group('train')
                group['mean'], group['std'] = moments.result()
        if self._groups:
            (self._folder / GROUPS).write_text(Groups(self._groups).to_csv(), encoding='utf-8')

    def _check(
        self,
        video_id: str,
        partition: str,
        features: Mapping[str, NDArray],
        labels: NDArray | None,
        valid: Mapping[str, NDArray],
    ) -> int:
        """Refuse what does not fit; returns the number of frames."""
        if partition not in PARTITIONS:
            raise DataError(f'{video_id}: partition {partition!r} is none of {", ".join(PARTITIONS)}')
        if not video_id or '/' in video_id or video_id == '.':
            raise DataError(
                f'{video_id!r} cannot be the name of a video: HDF5 takes no "/", no "." and no empty name'
            )
        readable_name(video_id, self.root)
        if video_id in self._partition_of:
            raise DataError(f'{video_id}: added twice, to {self._partition_of[video_id]} and to {partition}')
        if missing := sorted(set(self.features) - set(features)):
            raise DataError(f'{video_id}: no values for feature {", ".join(missing)}')
        if unknown := sorted((set(features) | set(valid)) - set(self.features)):
            raise DataError(
                f'{video_id}: feature {", ".join(unknown)} is not one of {", ".join(self.features)}'
            )
        arrays = {f'feature {name}': np.shape(features[name]) for name in self.features}
        if labels is not None:
            arrays['labels'] = np.shape(labels)
        arrays.update({f'valid mask of {name}': np.shape(mask) for name, mask in valid.items()})
        dims = {f'feature {name}': dims for name, dims in self.features.items()} | {'labels': (2,)}
        for what, shape in arrays.items():
            if not shape or shape[1:] != dims.get(what, ()):
                raise DataError(
                    f'{video_id}: {what} has shape {shape}, expected (frames, *{dims.get(what, ())})'
                )
        reference = 'labels' if labels is not None else next(iter(arrays), '')
        for what, shape in arrays.items():
            if shape[0] != arrays[reference][0]:
                raise DataError(
                    f'{video_id}: {what} has {shape[0]} frames, {reference} has {arrays[reference][0]}; '
                    'all must have one row per frame of the video'
                )
        return int(arrays[reference][0]) if arrays else 0

    def _file(self, name: str) -> h5py.File:
        """The file of this name, made at its first use."""
        if name not in self._files:
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # creation order = order of the videos: HDF5 would sort the groups by name
            self._files[name] = h5py.File(path, 'w', track_order=True)
        return self._files[name]

    def _release(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()
