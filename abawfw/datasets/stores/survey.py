"""A view of a store that goes on past broken parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.records import Problem, VideoInfo


class Survey(ABC):
    """What a store holds, complete with what a FeatureStore would refuse.

    Listing is done at construction, and what a FeatureStore would refuse goes into ``_problems``. Every
    method but the first three fails with a DataError for the one video or file in question.

    Attributes:
        statistics_way_out: what to do about stated moments that are not those of the data.
    """

    statistics_way_out: ClassVar[str] = (
        'remove features/mean_std_on_trn of it, and the statistics are computed from the data'
    )

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._videos: list[VideoInfo] = []
        self._moments: dict[str, tuple[np.ndarray, np.ndarray] | None] = {}

    def problems(self) -> list[Problem]:
        """What was found wrong while listing videos and features."""
        return self._problems

    def videos(self) -> list[VideoInfo]:
        """Every entry that can be read, with empty ones and with names that occur twice."""
        return self._videos

    @abstractmethod
    def features(self) -> dict[str, list[str]]:
        """Every feature, with the partitions that have it."""

    @abstractmethod
    def labels(self, video: VideoInfo) -> np.ndarray:
        """Labels of a video, (frames, 2), as they lie on disk."""

    @abstractmethod
    def shape(self, video: VideoInfo, feature: str) -> tuple[int, ...]:
        """Shape (frames, *dims) of a feature of a video; its frames may differ from those of the labels."""

    @abstractmethod
    def read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        """Frames of a feature, (stop - start, *dims)."""

    @abstractmethod
    def observed(self, video: VideoInfo, feature: str) -> np.ndarray | None:
        """Where a feature was observed, (frames,) bool; None if the store does not say."""

    def stated_moments(self, feature: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and standard deviation over train that stand beside the data, (*dims) each; None without."""
        return self._moments.get(feature)

    def integrity(self, video: VideoInfo, features: Sequence[str]) -> list[Problem]:
        """Where the values of a video are not those that were written, if the store can tell."""
        return []

    def times(self, video: VideoInfo) -> np.ndarray | None:
        """Seconds at which each frame is shown, (frames,) float64; None where they are unknown."""
        return None if not video.fps else np.arange(video.num_frames) / video.fps

    def recording(self, video: VideoInfo) -> list[Problem]:
        """What is worth knowing of the times and faces of a video, where the store was made from videos."""
        return []


class StoreSurvey(Survey):
    """The survey of a store that opens, by the methods that every store has."""

    def __init__(self, store: FeatureStore) -> None:
        super().__init__()
        self._store = store

    def videos(self) -> list[VideoInfo]:
        """The videos of the store."""
        return list(self._store.videos())

    def features(self) -> dict[str, list[str]]:
        """The features of the store; all partitions have them."""
        partitions = list(dict.fromkeys(video.partition for video in self._store.videos()))
        return dict.fromkeys(self._store.features(), partitions)

    def labels(self, video: VideoInfo) -> np.ndarray:
        """Labels as the store hands them out."""
        return self._store.labels(video.video_id, 0, video.num_frames)

    def shape(self, video: VideoInfo, feature: str) -> tuple[int, ...]:
        """Shape by the index of the store."""
        return (video.num_frames, *self._store.feature(feature).dims)

    def read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        """Frames as the store hands them out."""
        return self._store.read(video.video_id, feature, start, stop)

    def observed(self, video: VideoInfo, feature: str) -> np.ndarray | None:
        """The mask of the store."""
        return self._store.observed(video.video_id, feature, 0, video.num_frames)

    def times(self, video: VideoInfo) -> np.ndarray | None:
        """The times of the store."""
        return self._store.times(video.video_id)


def survey_of(kind: type[FeatureStore], root: Path) -> Survey:
    """The view of a store of this kind that goes on past broken parts.

    A kind that has a view of its own has a class method ``survey(root)``; others are looked at as they open.

    Raises:
        DataError: the store does not open, and its kind has no view of its own.
    """
    survey: Survey = kind.survey(root) if hasattr(kind, 'survey') else StoreSurvey(kind(root))
    return survey
