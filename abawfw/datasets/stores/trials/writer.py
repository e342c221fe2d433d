"""Writes the layout of one folder of .npy files per trial."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from abawfw.conventions import NO_LABEL
from abawfw.datasets.stores.checks import plain_name
from abawfw.datasets.stores.labels import unlabelled_frames
from abawfw.datasets.stores.npy_file import Rows, write_rows
from abawfw.datasets.stores.records import KEPT_DTYPES, PARTITIONS, FeatureInfo, VideoInfo, write_extraction
from abawfw.datasets.stores.trials.files import LABELS, MASK, NO_FEATURE, TIMES, TRACK
from abawfw.datasets.stores.trials.index import INDEX, Trial, TrialIndex
from abawfw.errors import DataError, nearest
from abawfw.files import FolderWriter


class TrialWriter(FolderWriter):
    """Write a data set of one folder of .npy files per trial, with our index, one trial at a time.

    Everything goes to a temporary folder beside ``root``, which is renamed when the ``with`` block ends and
    removed when it fails: a half-written data set never carries the final name. Trials keep the order in
    which they are added. Shapes and names are checked here, values when they are read.

    Args:
        root: folder to make; it may exist only if it is empty.
        features: shape of one frame of every feature, without the frame axis.
        dtypes: numpy name of the type on disk, 'float32' (where none is given), 'float16' or 'uint8'.
        extraction: settings with which features were extracted, as `FeatureStore.extraction` gives them.

    Raises:
        DataError: ``root`` exists and is not an empty folder; a type that is not written, or is given for an
            unknown feature; a name that cannot be that of a feature.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        features: Mapping[str, tuple[int, ...]],
        dtypes: Mapping[str, str] | None = None,
        extraction: Mapping[str, Any] | None = None,
    ) -> None:
        dtypes = dtypes or {}
        for name, dtype in dtypes.items():
            if name not in features:
                raise DataError(f'type of feature {name!r}, which is not written; {nearest(name, features)}')
            if dtype not in KEPT_DTYPES:
                raise DataError(f'feature {name!r} of type {dtype!r}; {", ".join(KEPT_DTYPES)} are written')
        for name in features:
            if plain_name(name, Path(root)).endswith(NO_FEATURE):
                raise DataError(
                    f'feature {name!r}: names that end in {" or ".join(NO_FEATURE)} are no features'
                )
        self._infos = {
            name: FeatureInfo(tuple(dims), dtypes.get(name, 'float32')) for name, dims in features.items()
        }
        self._extraction = extraction
        self._trials: dict[str, Trial] = {}
        super().__init__(root)

    def add(
        self,
        video_id: str,
        partition: str,
        features: Mapping[str, Rows],
        labels: np.ndarray | None = None,
        valid: Mapping[str, np.ndarray] | None = None,
        fps: float | None = None,
        group: str | None = None,
        times: np.ndarray | None = None,
        track: Path | None = None,
    ) -> None:
        """Append one trial.

        Args:
            video_id: name of the trial, unique within the data set; that of its folder.
            partition: ``train``, ``val`` or ``test``.
            features: for every feature an array (frames, *dims), or an iterator of consecutive pieces of one,
                of which only one is held at a time.
            labels: (frames, 2) valence and arousal; NaN in either column is stored as -5 in both. None: no
                labels, which only a test trial may lack.
            valid: (frames,) bool for the features that have such a mask; False where nothing was observed.
            fps: frames per second, if known.
            group: the person or session that the trial shares with others, if known.
            times: (frames,) float64, seconds at which each frame is shown, where the rate does not say that.
            track: file of the face's track, `face_track.npz` of another store, which is copied.

        Raises:
            DataError: the trial is there already, or a feature, shape, length or type does not fit. Nothing
                of the trial stays, and others can be added.
        """
        valid = valid or {}
        self._check(video_id, partition, features, labels, valid)
        folder = self._folder / video_id
        folder.mkdir()
        try:
            frames = self._write(folder, video_id, features, labels, valid, times)
            if track is not None:
                shutil.copyfile(track, folder / TRACK)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        rate = None if fps is None else float(fps)
        info = VideoInfo(video_id, partition, frames, rate, labels is not None, group)
        self._trials[video_id] = Trial(info, folder, frozenset(valid))

    def _complete(self) -> None:
        """Write the index; DataError if no trial was added."""
        if not self._trials:
            raise DataError(f'{self.root}: no trial was added, nothing is written')
        index = TrialIndex(tuple(self._trials.values()), self._infos, self.root / INDEX)
        (self._folder / INDEX).write_text(json.dumps(index.to_json(), indent=1), encoding='utf-8')
        if self._extraction:
            write_extraction(self._folder, self._extraction)

    def _check(
        self,
        video_id: str,
        partition: str,
        features: Mapping[str, Rows],
        labels: np.ndarray | None,
        valid: Mapping[str, np.ndarray],
    ) -> None:
        """Refuse names that do not fit."""
        if plain_name(video_id, self.root) == INDEX or video_id.startswith('.'):
            raise DataError(f'{video_id!r} cannot be the name of a trial: it must be that of a plain folder')
        if partition not in PARTITIONS:
            raise DataError(f'{video_id}: partition {partition!r} is none of {", ".join(PARTITIONS)}')
        if video_id in self._trials:
            there = self._trials[video_id].info.partition
            raise DataError(f'{video_id}: added twice, to {there} and to {partition}')
        if labels is None and partition != 'test':
            raise DataError(f'{video_id}: no labels, which a trial of {partition} needs')
        if missing := sorted(set(self._infos) - set(features)):
            raise DataError(f'{video_id}: no values for feature {", ".join(missing)}')
        if unknown := sorted((set(features) | set(valid)) - set(self._infos)):
            raise DataError(
                f'{video_id}: feature {", ".join(unknown)} is not one of {", ".join(self._infos)}'
            )

    def _write(
        self,
        folder: Path,
        video_id: str,
        features: Mapping[str, Rows],
        labels: np.ndarray | None,
        valid: Mapping[str, np.ndarray],
        times: np.ndarray | None,
    ) -> int:
        """Write the arrays of a trial; returns the number of frames, which all of them must have."""
        frames = {}
        if labels is not None:
            info = FeatureInfo((2,), 'float32')
            columns = np.array(labels, np.float32)
            if columns.shape[1:] == info.dims:
                columns[unlabelled_frames(columns)] = NO_LABEL
            frames['labels'] = write_rows(folder / f'{LABELS}.npy', columns, info, f'{video_id}: labels')
        for name, info in self._infos.items():
            what = f'feature {name}'
            frames[what] = write_rows(folder / f'{name}.npy', features[name], info, f'{video_id}: {what}')
        for name, mask in valid.items():
            what, info = f'valid mask of {name}', FeatureInfo((), 'bool')
            frames[what] = write_rows(folder / f'{name}{MASK}.npy', mask, info, f'{video_id}: {what}')
        if times is not None:
            info = FeatureInfo((), 'float64')
            frames['times'] = write_rows(folder / f'{TIMES}.npy', times, info, f'{video_id}: times')
        first, expected = next(iter(frames.items()), ('any feature', 0))
        for what, count in frames.items():
            if count != expected:
                raise DataError(
                    f'{video_id}: {what} has {count} frames, {first} has {expected}; all must have one row '
                    'per frame of the video'
                )
        if not expected:
            raise DataError(f'{video_id}: has no frames; leave it out')
        return expected
