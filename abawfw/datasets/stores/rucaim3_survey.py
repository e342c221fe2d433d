"""A view of the HDF5 layout of RUCAIM3 that goes on past broken parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from abawfw.datasets.stores.base import VideoInfo
from abawfw.datasets.stores.problem import Problem
from abawfw.datasets.stores.rucaim3_files import RUCAIM3Files
from abawfw.datasets.stores.survey import Survey
from abawfw.errors import DataError


class RUCAIM3Survey(Survey):
    """Lists every video whose targets can be read; the others become problems.

    Args:
        root: folder with ``targets/`` and ``features/``.

    Raises:
        DataError: if there is no targets file at all.
    """

    def __init__(self, root: Path) -> None:
        self._files = RUCAIM3Files(root)
        self._problems: list[Problem] = []
        self._videos: list[VideoInfo] = []
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

        self._moments: dict[str, tuple[np.ndarray, np.ndarray] | None] = {}
        for feature, partitions in self._files.features().items():
            try:
                if 'train' in partitions:
                    self._moments[feature] = self._files.train_moments(feature)
            except DataError as error:
                self._problems.append(Problem('error', 'statistics', str(error), 'train', feature=feature))

    def problems(self) -> list[Problem]:
        """Targets and stored statistics that cannot be read."""
        return self._problems

    def videos(self) -> list[VideoInfo]:
        """Every video whose targets can be read."""
        return self._videos

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

    def valid(self, video: VideoInfo, feature: str) -> np.ndarray | None:
        """The array valid, if there is one."""
        frames = self._files.shape(video, feature)[0][0]
        return self._files.valid(video, feature, 0, frames)

    def stated_moments(self, feature: str) -> tuple[np.ndarray, np.ndarray] | None:
        """What features/mean_std_on_trn holds."""
        return self._moments.get(feature)

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
