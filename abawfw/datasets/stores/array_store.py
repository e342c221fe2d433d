"""A store of one video whose features lie in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.checks import disorder
from abawfw.datasets.stores.records import KEPT_DTYPES, FeatureInfo, VideoInfo
from abawfw.errors import DataError, nearest


class ArrayStore(FeatureStore):
    """Arrays, or files mapped into memory, as a store of one test video without labels.

    It is not registered: no folder holds it.

    Args:
        video_id: name of the video, for messages and tables.
        arrays: (frames, *dims) numbers of each feature; float32, float16 and uint8 stay as they are, and what
            is mapped from a file is read clip by clip. Others become float32.
        observed: (frames,) bool of each feature that has a mask: False where there was nothing to see. A
            feature without one counts as observed everywhere.
        times: (frames,) seconds at which each frame is shown, if known.

    Raises:
        DataError: no feature, no frame, features of different lengths or without dims, values that are no
            numbers, a mask that belongs to no feature or has another length or type, or times out of order.

    >>> ArrayStore('lecture', {'voice': np.zeros((40, 88), np.float32)}).feature('voice').dims
    (88,)
    """

    def __init__(
        self,
        video_id: str,
        arrays: Mapping[str, ArrayLike],
        observed: Mapping[str, ArrayLike] | None = None,
        times: ArrayLike | None = None,
    ) -> None:
        self.root = Path(video_id)  # what messages call it; the base class would look for a folder
        self._arrays = {name: _numbers(video_id, name, values) for name, values in arrays.items()}
        if not self._arrays:
            raise DataError(f'{video_id}: no feature given')
        self._infos = {name: FeatureInfo(a.shape[1:], a.dtype.name) for name, a in self._arrays.items()}
        lengths = {name: len(values) for name, values in self._arrays.items()}
        if len(set(lengths.values())) > 1:
            listed = ', '.join(f'{name} {length}' for name, length in lengths.items())
            raise DataError(f'{video_id}: features have different numbers of frames: {listed}')
        num_frames = next(iter(lengths.values()))
        if not num_frames:
            raise DataError(f'{video_id}: there is no frame')
        self._masks = {
            name: self._mask(video_id, name, np.asarray(mask), num_frames)
            for name, mask in (observed or {}).items()
        }
        self._times = None if times is None else _checked_times(video_id, np.asarray(times), num_frames)
        self._video = VideoInfo(video_id, 'test', num_frames, has_labels=False)

    def videos(self) -> tuple[VideoInfo, ...]:
        """The one video."""
        return (self._video,)

    def features(self) -> dict[str, FeatureInfo]:
        """The features given, by name."""
        return self._infos

    def times(self, video_id: str) -> NDArray[np.float64] | None:
        """The times given."""
        self.video(video_id)
        return self._times

    def has_mask(self, video_id: str, feature: str) -> bool:
        """Whether a mask was given."""
        return feature in self._masks

    def _mask(self, video_id: str, name: str, mask: NDArray, num_frames: int) -> NDArray[np.bool_]:
        if name not in self._arrays:
            raise DataError(f'{video_id}: observed has {name!r}; {nearest(name, self._arrays)}')
        if mask.dtype != bool or mask.shape != (num_frames,):
            raise DataError(
                f'{video_id}: observed of {name!r} is {mask.dtype} of shape {mask.shape}, expected bool of '
                f'shape {(num_frames,)}'
            )
        return mask

    def _read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        return np.asarray(self._arrays[feature][start:stop])

    def _observed(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        mask = self._masks.get(feature)
        return super()._observed(video, feature, start, stop) if mask is None else mask[start:stop]

    def _labels(self, video: VideoInfo, start: int, stop: int) -> np.ndarray:
        raise AssertionError('a video without labels is not asked for them')


def _numbers(video_id: str, name: str, values: ArrayLike) -> NDArray:
    array = values if isinstance(values, np.ndarray) else np.asarray(values)
    if array.ndim < 2 or array.dtype.kind not in 'fiu':
        raise DataError(
            f'{video_id}: feature {name!r} is {array.dtype} of shape {array.shape}, expected numbers '
            '(frames, dims); a feature of one number per frame is (frames, 1)'
        )
    return array if array.dtype.name in KEPT_DTYPES else array.astype(np.float32)


def _checked_times(video_id: str, times: NDArray, num_frames: int) -> NDArray[np.float64]:
    seconds = times.astype(np.float64)
    if seconds.shape != (num_frames,):
        raise DataError(f'{video_id}: {num_frames} frames, but times of shape {seconds.shape}')
    if fault := disorder(seconds):
        raise DataError(f'{video_id}: {fault}')
    return seconds
