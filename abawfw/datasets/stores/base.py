"""What a store of features and labels promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from abawfw.datasets.stores.checks import check_finite, chunks
from abawfw.datasets.stores.labels import clean_labels
from abawfw.datasets.stores.records import KEPT_DTYPES, FeatureInfo, VideoInfo, read_extraction
from abawfw.errors import DataError, nearest

NUMBERS = frozenset(np.dtype(code).name for code in np.typecodes['AllInteger'] + np.typecodes['Float'])
"""Types that labels may lie in."""


class FeatureStore(ABC):
    """Where features and labels lie: which videos there are, and any stretch of frames of them.

    A store can be pickled and used after a fork: open files belong to one process.

    Args:
        root: folder of the store.

    Attributes:
        short_name: what command lines call this kind of store; the class name without 'Store', in lower
            case, unless a class says otherwise.
        marks: files or folders (ending in '/') by which a folder is known for a store of this kind; one of
            them is enough.
    """

    short_name: ClassVar[str]
    marks: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if 'short_name' not in cls.__dict__:
            cls.short_name = cls.__name__.removesuffix('Store').lower()

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise DataError(f'{self.root}: no such folder; give the folder of a store')

    @abstractmethod
    def videos(self) -> tuple[VideoInfo, ...]:
        """All videos, in the order of the store; ids are unique and no video is empty.

        What a store finds passes through ``with_groups`` first.
        """

    @abstractmethod
    def features(self) -> dict[str, FeatureInfo]:
        """All features that every partition has, by name."""

    @abstractmethod
    def _read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        """Frames of a feature, (stop - start, *dims); the arguments are known to be right."""

    @abstractmethod
    def _labels(self, video: VideoInfo, start: int, stop: int) -> np.ndarray:
        """Labels on disk, (stop - start, 2); only asked of a video that has labels."""

    def _observed(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        """Where the feature was observed, (stop - start,) bool; stores with such a mask override this."""
        return np.ones(stop - start, dtype=bool)

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Whether the folder looks like a store of this kind: whether one of its marks is there."""
        return any((root / m).is_dir() if m.endswith('/') else (root / m).is_file() for m in cls.marks)

    def read(self, video_id: str, feature: str, start: int, stop: int) -> np.ndarray:
        """Frames ``start`` to ``stop`` of a feature, (stop - start, *dims).

        float32, or float16 or uint8 where the store keeps these.

        Raises:
            DataError: unknown video or feature, frames that the video does not have, damaged files,
                or a feature with another number of frames than the labels.
        """
        video = self.video(video_id)
        shape = stop - start, *self.feature(feature).dims
        self._check_range(video, start, stop)
        values = self._read(video, feature, start, stop)
        self._check_answer('_read', values, shape, KEPT_DTYPES, f'feature {feature!r}', video, start)
        return values

    def observed(self, video_id: str, feature: str, start: int, stop: int) -> np.ndarray:
        """Where the feature was observed, (stop - start,) bool: False where no face was found."""
        video = self.video(video_id)
        self.feature(feature)
        self._check_range(video, start, stop)
        mask = self._observed(video, feature, start, stop)
        shape, what = (stop - start,), f'the mask of feature {feature!r}'
        self._check_answer('_observed', mask, shape, ('bool',), what, video, start)
        return mask

    def has_mask(self, video_id: str, feature: str) -> bool:
        """Whether the store says where the feature was observed; without, it counts as observed."""
        return type(self)._observed is not FeatureStore._observed

    def checksum(self, video_id: str, feature: str) -> int | None:
        """Of the frames of a feature, without reading them; None where the store keeps none."""
        return None

    def knows_observed(self, video_id: str, feature: str) -> bool:
        """Whether ``observed`` answers without reading the frames themselves."""
        return True

    def labels(self, video_id: str, start: int, stop: int) -> np.ndarray:
        """Valence and arousal, (stop - start, 2) float32, NaN where there is no valid label.

        Raises:
            DataError: unknown video, frames that it does not have, or a label outside [-1, 1].
        """
        video = self.video(video_id)
        self._check_range(video, start, stop)
        if not video.has_labels:
            return np.full((stop - start, 2), np.nan, dtype=np.float32)
        labels = self._labels(video, start, stop)
        self._check_answer('_labels', labels, (stop - start, 2), NUMBERS, 'labels', video, start)
        return clean_labels(labels, video_id, start)

    def times(self, video_id: str) -> np.ndarray | None:
        """Seconds at which each frame is shown, (frames,) float64; None where unknown.

        By the frame rate, unless a store knows better.
        """
        video = self.video(video_id)
        return None if video.fps is None else np.arange(video.num_frames) / video.fps

    def moments(
        self, feature: str, video_ids: Sequence[str], observed: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and population standard deviation over the frames of these videos.

        Args:
            feature: name of the feature.
            video_ids: names of the videos.
            observed: take only frames in which the feature was observed; otherwise all there are.

        Returns:
            Both (*dims) float64; a standard deviation of 0 becomes 1, ready to divide by.

        Raises:
            DataError: NaN or infinity in a frame, or no frame to take the mean over.
        """
        return self.summary(feature, video_ids, observed).result()

    def scalar_moments(
        self, feature: str, video_ids: Sequence[str], observed: bool = False
    ) -> tuple[float, float]:
        """Mean and population standard deviation over all numbers of these frames, whatever their dimension.

        Arguments and errors are those of ``moments``.
        """
        return self.summary(feature, video_ids, observed).scalar_result()

    def summary(self, feature: str, video_ids: Sequence[str], observed: bool = False) -> RunningMoments:
        """What ``moments`` come from, by one pass over the frames, in float64 and piece by piece.

        Arguments and errors are those of ``moments``. Stores that know it without a pass override this.
        """
        dims = self.feature(feature).dims
        summary = RunningMoments(dims)
        for video_id in video_ids:
            for start, stop in chunks(self.video(video_id).num_frames, dims):
                values = self.read(video_id, feature, start, stop)
                check_finite(values, feature, video_id, start)
                summary.add(values[self.observed(video_id, feature, start, stop)] if observed else values)
        self._check_not_empty(summary, feature, video_ids)
        return summary

    def video(self, video_id: str) -> VideoInfo:
        """The video of this name; DataError with the nearest right name if there is none."""
        try:
            return self._by_id[video_id]
        except KeyError:
            raise DataError(f'{self.root}: no video {video_id!r}; {nearest(video_id, self._by_id)}') from None

    def feature_names(self) -> list[str]:
        """Names of the features; looks into no more files than it must."""
        return list(self.features())

    def feature(self, name: str) -> FeatureInfo:
        """The feature of this name; DataError with the nearest right name if there is none."""
        features = self.features()
        if name not in features:
            raise DataError(f'{self.root}: no feature {name!r}; {nearest(name, features)}')
        return features[name]

    @cached_property
    def extraction(self) -> dict[str, Any]:
        """Settings by feature of the extractors that made the store; {} where unknown.

        Under ``faces`` stands where images of faces came from.

        Raises:
            DataError: extraction.json of the store is damaged.
        """
        return read_extraction(self.root)

    @cached_property
    def _by_id(self) -> dict[str, VideoInfo]:
        return {video.video_id: video for video in self.videos()}

    def _check_range(self, video: VideoInfo, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= video.num_frames:
            raise DataError(
                f'{self.root}: frames {start} to {stop} asked of video {video.video_id!r}, '
                f'which has {video.num_frames}'
            )

    def _check_answer(
        self,
        method: str,
        answer: Any,
        shape: tuple[int, ...],
        dtypes: Collection[str],
        what: str,
        video: VideoInfo,
        start: int,
    ) -> None:
        """What a store gives is what was asked for: a store that errs would spoil batches far from here."""
        if isinstance(answer, np.ndarray) and answer.shape == shape and answer.dtype.name in dtypes:
            return
        given = type(answer).__name__
        if isinstance(answer, np.ndarray):
            given = f'{answer.dtype.name} of shape {answer.shape}'
        raise DataError(
            f'{self.root}: video {video.video_id!r}, frames {start} to {start + shape[0]}: '
            f'{type(self).__name__}.{method} gives {what} as {given}, but the store promises '
            f'{" or ".join(dtypes) if dtypes is not NUMBERS else "numbers"} of shape {shape}'
        )

    def _check_not_empty(self, summary: RunningMoments, feature: str, video_ids: Sequence[str]) -> None:
        """DataError if there was no frame to take the mean over."""
        if not summary.count:
            why = 'no videos given'
            if video_ids:
                why = f'it was observed in no frame of {", ".join(video_ids)}'
            raise DataError(f'{self.root}: no mean of feature {feature!r}: {why}')


class RunningMoments:
    """Count, mean and sum of squared differences from the mean, element by element, updated piece by piece.

    Of one array alone: labels against predictions, with products between them, are `Moments`.

    Pieces are combined by the pairwise formula of Chan, Golub and LeVeque (1983), which stays accurate where
    the textbook difference of sums of squares loses all digits. Everything is float64.
    """

    def __init__(self, dims: tuple[int, ...]) -> None:
        self.count = 0
        self.mean = np.zeros(dims)
        self.m2 = np.zeros(dims)

    def add(self, values: np.ndarray) -> None:
        """Add frames, (frames, *dims)."""
        if not len(values):
            return
        values = values.astype(np.float64)
        mean = values.mean(axis=0)
        values -= mean
        np.square(values, out=values)
        self.merge(len(values), mean, values.sum(axis=0))

    def merge(self, count: int, mean: np.ndarray, m2: np.ndarray) -> None:
        """Add what another summary holds: its count, mean (*dims) and sum of squares about it (*dims)."""
        if not count:
            return
        total = self.count + count
        delta = mean - self.mean
        self.m2 += m2 + np.square(delta) * (self.count * count / total)
        self.mean += delta * (count / total)
        self.count = total

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and population standard deviation, (*dims) each; one of 0 becomes 1."""
        std = np.sqrt(self.m2 / max(self.count, 1))
        return self.mean.copy(), np.where(std == 0, 1.0, std)

    def scalar_result(self) -> tuple[float, float]:
        """Mean and population standard deviation over all elements alike; one of 0 becomes 1."""
        mean = float(self.mean.mean())
        # Every element was seen equally often: the variances within and between them add up.
        variance = float((self.m2 / max(self.count, 1)).mean() + np.square(self.mean - mean).mean())
        return mean, variance**0.5 or 1.0
