"""The layout of one folder of .npy files per trial."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from abawfw.datasets.splits.rolled_k_fold import RolledKFold
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.checks import check_videos
from abawfw.datasets.stores.npy_file import read_array
from abawfw.datasets.stores.records import PARTITIONS, FeatureInfo, Problem, VideoInfo, with_groups
from abawfw.datasets.stores.stated_moments import refuse_stale
from abawfw.datasets.stores.survey import Survey
from abawfw.datasets.stores.trials.files import LABELS, TIMES, TrialFiles, given_dtype, problems_of
from abawfw.datasets.stores.trials.index import INDEX, Trial
from abawfw.datasets.stores.trials.pickles import INFO, STATISTICS, read_scalar_statistics
from abawfw.errors import ConfigError, DataError, few, nearest
from abawfw.registry import STORES


@STORES.register_module()
class TrialStore(FeatureStore):
    """Features and labels as .npy files, one folder per trial (docs/tagf.md, Preprocessing).

    Which trials there are stands in ``trials.json``, written by ``TrialWriter``, or else in the reference's
    ``dataset_info.pkl`` (partitions train, validate, extra; unused trials are omitted). In a trial's folder:

    - ``FEATURE.npy``: (frames, *dims) numbers; every array that all trials have is a feature;
    - ``VA_continuous_label.npy``: (frames, 2) valence and arousal; test trials may have none;
    - ``FEATURE_valid.npy``: (frames,) bool, False where the feature was not observed. Without it, black
      frames of uint8 features count as not observed;
    - ``frame_times.npy``: (frames,) seconds, where the store was made from videos.

    ``mean_std_info.pkl`` of the reference, if it is there, has mean and deviation of features for its folds.

    Opening reads the headers of the labels; the headers of a feature are read when it is first asked for, and
    of the arrays themselves only the frames asked for.

    Args:
        root: folder with trials.json or dataset_info.pkl.

    Raises:
        DataError: no index, or a refused one; a trial without its folder or its labels; labels of another
            length than the index says; empty trials, or two of one name.
    """

    short_name = 'trials'
    marks = (INDEX, INFO)

    def __init__(self, root: str | Path) -> None:
        super().__init__(root)
        self._files = TrialFiles(self.root)
        self._trials = {trial.info.video_id: trial for trial in self._files.index.trials}
        listed = [trial.info for trial in self._files.index.trials]
        check_videos(listed, self.root)
        if not listed:
            raise DataError(f'{self._files.index.source}: lists no trial')
        self._videos = with_groups(self.root, map(self._files.video, self._trials.values()))
        self._infos: dict[str, FeatureInfo] = {}

    @classmethod
    def survey(cls, root: str | Path) -> Survey:
        """A view that goes on past broken trials."""
        return TrialSurvey(Path(root))

    def videos(self) -> tuple[VideoInfo, ...]:
        """All trials, in the order of the index; from the pickle: train before val before test."""
        return self._videos

    def features(self) -> dict[str, FeatureInfo]:
        """The features that every trial has; shape and type from the first trial."""
        first = next(iter(self._trials.values()))
        return {name: self._files.info(first, name) for name in self.feature_names()}

    def feature_names(self) -> list[str]:
        """Names of the arrays that every trial has, but for labels and masks."""
        if self._files.index.features is not None:
            return list(self._files.index.features)
        return sorted(set.intersection(*(self._files.features(trial) for trial in self._trials.values())))

    def feature(self, name: str) -> FeatureInfo:
        """Shape and type of a feature; reads the header of its array of every trial, once.

        Raises:
            DataError: a trial lacks it, or its array has another length than the index or the labels say,
                other dims than that of the first trial, or holds no numbers.
        """
        if name not in self._infos:
            self._refuse_missing(name)
            trials = list(self._trials.values())
            first = self._files.info(trials[0], name)
            if self._files.index.features is not None:
                expected, source = self._files.index.features[name], self._files.index.source.name
            else:
                expected, source = first, f'that of {trials[0].info.video_id!r}'
            for trial in trials:
                self._check(trial, name, expected, source)
            self._infos[name] = first
        return self._infos[name]

    def has_mask(self, video_id: str, feature: str) -> bool:
        """Whether a file says it, or black frames do."""
        trial = self._trials[self.video(video_id).video_id]
        return self._files.has_mask(trial, feature) or self.feature(feature).dtype == 'uint8'

    def knows_observed(self, video_id: str, feature: str) -> bool:
        """Bytes without a mask are looked at themselves: a black frame was not observed."""
        trial = self._trials[self.video(video_id).video_id]
        return self._files.has_mask(trial, feature) or self.feature(feature).dtype != 'uint8'

    def times(self, video_id: str) -> np.ndarray | None:
        """Seconds at which each frame is shown: frame_times.npy, or else by the frame rate."""
        trial = self._trials[self.video(video_id).video_id]
        if TIMES not in self._files.names(trial):
            return super().times(video_id)
        array = self._files.array(trial, TIMES)
        if (array.shape, array.dtype) != ((trial.info.num_frames,), 'float64'):
            raise DataError(
                f'{array.path}: {array.dtype} of shape {array.shape}, expected float64 of '
                f'{(trial.info.num_frames,)}; extract this video again'
            )
        return read_array(array.path)  # read() would give float32

    def scalar_moments(
        self, feature: str, video_ids: Sequence[str], observed: bool = False
    ) -> tuple[float, float]:
        """Mean and deviation; those of all frames of a reference's fold are read from mean_std_info.pkl.

        Raises:
            DataError: what is stored there is not that of the frames, of which a sample is looked at.
        """
        statistics = None if observed else read_scalar_statistics(self.root)
        for fold, features in (statistics or {}).items():
            if feature in features and self._train_of(fold) == set(video_ids):
                refuse_stale(self, feature, video_ids, features[feature], self.root / STATISTICS)
                mean, std = features[feature]
                return mean, std or 1.0
        return super().scalar_moments(feature, video_ids, observed)

    def _train_of(self, fold: int) -> set[str]:
        """Names of the training trials of a fold of the reference; none where there is no such fold."""
        try:
            return {video.video_id for video in RolledKFold(fold).videos(self._videos, 'train')}
        except (ConfigError, DataError):
            return set()

    def _refuse_missing(self, name: str) -> None:
        known = self.feature_names()
        lacking = [t for t in self._trials.values() if name not in self._files.features(t)]
        if name in known and not lacking:
            return
        # the index may list what no trial has, and trials may have what it does not list
        if name not in known and len(lacking) in (0, len(self._trials)):
            raise DataError(f'{self.root}: no feature {name!r}; {nearest(name, known)}')
        without = few([repr(trial.info.video_id) for trial in lacking])
        raise DataError(
            f'{self.root}: feature {name!r} is missing in {len(lacking)} of {len(self._trials)} trials: '
            f'no {name}.npy of {without}; extract it for these, or leave the feature out'
        )

    def _check(self, trial: Trial, name: str, expected: FeatureInfo, source: str) -> None:
        info, array = self._files.info(trial, name), self._files.array(trial, name)
        if array.shape[0] != trial.info.num_frames:
            raise DataError(
                f'{array.path}: feature {name!r} of trial {trial.info.video_id!r} has {array.shape[0]} '
                f'frames, {self._files.index.source.name} says {trial.info.num_frames}; extract it again for '
                'exactly the rows of the labels'
            )
        if info.dims != expected.dims:
            raise DataError(
                f'{array.path}: feature {name!r} of trial {trial.info.video_id!r} has {info.dims} numbers '
                f'per frame, {source} has {expected.dims}; extract it again'
            )
        if given_dtype(info.dtype) != given_dtype(expected.dtype):
            raise DataError(
                f'{array.path}: feature {name!r} of trial {trial.info.video_id!r} is {info.dtype}, {source} '
                f'is {expected.dtype}; write one type for all trials'
            )

    def _read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        return self._files.array(self._trials[video.video_id], feature).read(start, stop)

    def _observed(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        valid = self._files.observed(self._trials[video.video_id], feature, start, stop)
        return super()._observed(video, feature, start, stop) if valid is None else valid

    def _labels(self, video: VideoInfo, start: int, stop: int) -> np.ndarray:
        return self._files.array(self._trials[video.video_id], LABELS).read(start, stop)


class TrialSurvey(Survey):
    """Lists every trial whose folder and labels can be read.

    Others, features that some trials lack, and unreadable statistics become problems.

    Args:
        root: folder with trials.json or dataset_info.pkl.

    Raises:
        DataError: if there is no index, or it cannot be read.
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._files = TrialFiles(root)
        self._trials: list[Trial] = []
        for trial in self._files.index.trials:
            info = trial.info
            try:
                self._videos.append(self._files.video(trial))
                self._trials.append(trial)
            except DataError as error:
                self._problems.append(Problem('error', 'trial', str(error), info.partition, info.video_id))
        try:
            read_scalar_statistics(root)
        except DataError as error:
            self._problems.append(Problem('error', 'statistics', str(error), 'train'))
        self._find_missing()

    def features(self) -> dict[str, list[str]]:
        """Every feature that a trial has, with the partitions in which all trials have it."""
        names = set(self._files.index.features or ()).union(*map(self._files.features, self._trials))
        return {name: self._complete(name) for name in sorted(names)}

    def labels(self, video: VideoInfo) -> np.ndarray:
        """Labels with -5 where there is none."""
        return self._files.array(self._trial(video), LABELS).read(0, video.num_frames)

    def shape(self, video: VideoInfo, feature: str) -> tuple[int, ...]:
        """Shape of the array of a feature."""
        trial = self._trial(video)
        self._files.info(trial, feature)
        return tuple(self._files.array(trial, feature).shape)

    def read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        """Frames of the array of a feature."""
        return self._files.array(self._trial(video), feature).read(start, stop)

    def observed(self, video: VideoInfo, feature: str) -> np.ndarray | None:
        """The mask of a feature, or where its frames of bytes are not black."""
        return self._files.observed(self._trial(video), feature, 0, video.num_frames)

    def times(self, video: VideoInfo) -> np.ndarray | None:
        """Seconds of frame_times.npy, as exact as float32 is, or else by the frame rate."""
        trial = self._trial(video)
        if TIMES not in self._files.names(trial):
            return super().times(video)
        array = self._files.array(trial, TIMES)
        if array.shape != (video.num_frames,):
            raise DataError(f'{array.path}: shape {array.shape}, expected {(video.num_frames,)}')
        return array.read(0, video.num_frames).astype(np.float64)

    def recording(self, video: VideoInfo) -> list[Problem]:
        """Irregular times, and frames without a face, of a trial that was made from a video."""
        folder = self._trial(video).folder
        return problems_of(folder, video.num_frames, video.partition, video.video_id)

    def _trial(self, video: VideoInfo) -> Trial:
        return self._trials[self._videos.index(video)]

    def _complete(self, feature: str) -> list[str]:
        """Partitions of which every trial has the feature."""
        lacking = {t.info.partition for t in self._trials if feature not in self._files.features(t)}
        present = {t.info.partition for t in self._trials}
        return [p for p in PARTITIONS if p in present and p not in lacking]

    def _find_missing(self) -> None:
        for name in self.features():
            lacking = [trial for trial in self._trials if name not in self._files.features(trial)]
            if len(lacking) == len(self._trials):
                lacking = []  # said once for each partition
            for trial in lacking:
                text = f'{trial.folder / name}.npy: no such file; extract it, or leave the feature out'
                where = trial.info.partition, trial.info.video_id, name
                self._problems.append(Problem('warning', 'missing', text, *where))
