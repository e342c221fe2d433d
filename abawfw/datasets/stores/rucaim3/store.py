"""The HDF5 layout of RUCAIM3."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.checks import check_videos
from abawfw.datasets.stores.records import KEPT_DTYPES, FeatureInfo, Problem, VideoInfo, with_groups
from abawfw.datasets.stores.rucaim3.files import RUCAIM3Files
from abawfw.datasets.stores.stated_moments import refuse_stale
from abawfw.datasets.stores.survey import Survey
from abawfw.errors import DataError, nearest
from abawfw.registry import STORES


@STORES.register_module()
class RUCAIM3Store(FeatureStore):
    """Features and labels in HDF5, one group per video (docs/rucaim3.md, Layout of the data).

    The order of the videos is the order of the groups of the targets files, train before val before test. A
    video without valence and arousal (the test partition) has no labels. The layout has no place for groups:
    they stand in ``groups.csv``.

    Args:
        root: folder with ``targets/`` and ``features/``.

    Raises:
        DataError: missing or unreadable files, empty videos, a video in two partitions.
    """

    marks = ('targets/',)

    def __init__(self, root: str | Path) -> None:
        super().__init__(root)
        self._files = RUCAIM3Files(self.root)
        found = [
            self._files.video(partition, video_id)
            for partition in self._files.partitions
            for video_id in self._files.video_ids(partition)
        ]
        check_videos(found, self.root)
        self._videos = with_groups(self.root, found)
        self._infos: dict[str, FeatureInfo] = {}
        self._checked: set[tuple[str, str]] = set()

    @classmethod
    def survey(cls, root: str | Path) -> Survey:
        """A view that goes on past broken files."""
        return RUCAIM3Survey(Path(root))

    def videos(self) -> tuple[VideoInfo, ...]:
        """All videos, partition by partition, in the order of the targets files."""
        return self._videos

    def features(self) -> dict[str, FeatureInfo]:
        """The features that every partition with a targets file has; shape and type from the first video."""
        return {name: self.feature(name) for name in self.feature_names()}

    def feature_names(self) -> list[str]:
        """Names of the features that every partition has; from the names of the files alone."""
        found = self._files.features()
        return [f for f, partitions in found.items() if partitions == self._files.partitions]

    def feature(self, name: str) -> FeatureInfo:
        """Shape and type of a feature; opens no file of another feature."""
        if name not in self._infos:
            names = self.feature_names()
            if name not in names:
                having = self._files.features().get(name, [])
                absent = [
                    self._files.feature_path(p, name) for p in self._files.partitions if p not in having
                ]
                hint = f': no {", ".join(map(str, absent))}' if having else f'; {nearest(name, names)}'
                raise DataError(f'{self.root}: no feature {name!r}{hint}')
            shape, dtype = self._files.shape(self._videos[0], name)
            self._infos[name] = FeatureInfo(shape[1:], dtype.name)
        return self._infos[name]

    def moments(
        self, feature: str, video_ids: Sequence[str], observed: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation; of all frames of train they are read from features/mean_std_on_trn.

        Raises:
            DataError: what is stored there is not that of the frames, of which a sample is looked at.
        """
        if observed:
            return super().moments(feature, video_ids, observed)
        train = {video.video_id for video in self._videos if video.partition == 'train'}
        dims = self.feature(feature).dims
        if not train or set(video_ids) != train or (stored := self._files.train_moments(feature)) is None:
            return super().moments(feature, video_ids)
        mean, std = stored
        if mean.shape != dims:
            raise DataError(
                f'{self._files.moments_path(feature)}: has a mean of {mean.shape}, the feature has {dims}; '
                'remove this file, and the statistics are computed from the data'
            )
        refuse_stale(self, feature, video_ids, stored, self._files.moments_path(feature))
        return mean, np.where(std == 0, 1.0, std)

    def has_mask(self, video_id: str, feature: str) -> bool:
        """Whether there is an array valid beside the frames."""
        return self._files.observed(self.video(video_id), feature, 0, 0) is not None

    def _read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        self._check_shape(video, feature)
        values = self._files.read(video, feature, start, stop)
        return values if values.dtype.name in KEPT_DTYPES else values.astype(np.float32)

    def _observed(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        valid = self._files.observed(video, feature, start, stop)
        if valid is None:
            return super()._observed(video, feature, start, stop)
        if len(valid) != stop - start:
            raise DataError(
                f'{self._files.feature_path(video.partition, feature)}: valid of video {video.video_id!r} '
                f'ends at frame {start + len(valid)}, its labels at {video.num_frames}; write both again'
            )
        return valid

    def _labels(self, video: VideoInfo, start: int, stop: int) -> np.ndarray:
        return self._files.labels(video, start, stop)

    def _check_shape(self, video: VideoInfo, feature: str) -> None:
        if (video.video_id, feature) in self._checked:
            return  # HDF5 takes longer to tell a shape than to read a clip
        (num_frames, *dims), _ = self._files.shape(video, feature)
        if num_frames != video.num_frames:
            raise DataError(
                f'feature {feature!r} of video {video.video_id!r} has {num_frames} frames, its labels have '
                f'{video.num_frames}; extract the feature again for exactly the labelled frames '
                f'({self._files.feature_path(video.partition, feature)})'
            )
        if tuple(dims) != self.feature(feature).dims:
            raise DataError(
                f'feature {feature!r} of video {video.video_id!r} has {tuple(dims)} numbers per frame, '
                f'that of {self._videos[0].video_id!r} has {self.feature(feature).dims}; extract it again '
                f'({self._files.feature_path(video.partition, feature)})'
            )
        self._checked.add((video.video_id, feature))


class RUCAIM3Survey(Survey):
    """Lists every video whose targets can be read; other targets and statistics become problems.

    Args:
        root: folder with ``targets/`` and ``features/``.

    Raises:
        DataError: if there is no targets file at all.
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._files = RUCAIM3Files(root)
        for partition in self._files.partitions:
            try:
                video_ids = self._files.video_ids(partition)
            except DataError as error:
                self._problems.append(Problem('error', 'file', str(error), partition))
                continue
            for video_id in video_ids:
                try:
                    self._videos.append(self._files.video(partition, video_id))
                except DataError as error:
                    self._problems.append(Problem('error', 'targets', str(error), partition, video_id))

        for feature, partitions in self._files.features().items():
            try:
                if 'train' in partitions:
                    self._moments[feature] = self._files.train_moments(feature)
            except DataError as error:
                self._problems.append(Problem('error', 'statistics', str(error), 'train', feature=feature))

    def features(self) -> dict[str, list[str]]:
        """Every feature, with the partitions that have a file of it."""
        return self._files.features()

    def labels(self, video: VideoInfo) -> np.ndarray:
        """Labels with -5 where there is none."""
        return self._files.labels(video, 0, video.num_frames)

    def shape(self, video: VideoInfo, feature: str) -> tuple[int, ...]:
        """Shape of the array fts."""
        return self._files.shape(video, feature)[0]

    def read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        """Frames of the array fts."""
        return self._files.read(video, feature, start, stop)

    def observed(self, video: VideoInfo, feature: str) -> np.ndarray | None:
        """The array valid, if there is one."""
        frames = self._files.shape(video, feature)[0][0]
        return self._files.observed(video, feature, 0, frames)

    def integrity(self, video: VideoInfo, features: Sequence[str]) -> list[Problem]:
        """Features of which a part was never written."""
        problems = []
        for name in features:
            try:
                missing, chunks = self._files.unwritten(video, name)
            except DataError:  # found where its values are read
                continue
            if missing:
                text = (
                    f'{missing} of {chunks} pieces (chunks) of fts were never written and read as 0; extract '
                    'it again, or write zeros if that is what they are'
                )
                where = video.partition, video.video_id, name
                problems.append(Problem('warning', 'never written', text, *where))
        return problems
