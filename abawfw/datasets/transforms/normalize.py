"""Zero mean and unit deviation, per dimension of a feature."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from abawfw.datasets.stores.base import FeatureStore, VideoInfo
from abawfw.datasets.stores.checks import check_finite
from abawfw.errors import ConfigError
from abawfw.registry import TRANSFORMS

REMEMBERED = 1024
"""Statistics of sequences that are kept, one per video and feature: nearly all of Aff-Wild2's training videos
with three features, and about 4 MB for three features of 1,238 dimensions together."""

Moments = tuple[np.ndarray, np.ndarray]


@TRANSFORMS.register_module()
class Normalize:
    """Subtract the mean and divide by the standard deviation, per dimension (spec/rucaim3.md).

    Args:
        method: 'train': statistics over all frames of the fold's training videos; 'sequence': mean and
            unbiased standard deviation over all frames of the video that the clip is cut from. A deviation of
            0 counts as 1.
        features: names of the features to normalise; None for all that the dataset loads.

    Raises:
        ConfigError: an unknown method.
        DataError: statistics of a video with NaN or infinite frames.
    """

    def __init__(self, method: str, features: Sequence[str] | None = None) -> None:
        if method not in ('train', 'sequence'):
            raise ConfigError(f"Normalize(method={method!r}): there are 'train' and 'sequence'")
        self.method = method
        self.features = None if features is None else list(features)
        self._of_train: dict[str, Moments] = {}
        self._of_videos: OrderedDict[tuple[str, str], Moments] = OrderedDict()

    def fit(self, store: FeatureStore, train_videos: Sequence[VideoInfo]) -> None:
        """With method 'train', take the statistics of ``features`` over the training videos."""
        if self.method == 'train':
            ids = [video.video_id for video in train_videos]
            for feature in self.features or ():
                self._of_train[feature] = _as_float32(*store.moments(feature, ids))

    def fitted(self) -> dict[str, Moments]:
        """The statistics of the training videos, by feature; they belong to the weights trained with them."""
        return dict(self._of_train)

    def load(self, fitted: dict[str, Moments]) -> None:
        """Use these statistics instead of fitting.

        Raises:
            ConfigError: they lack a feature that is to be normalised.
        """
        missing = [f for f in self.features or () if f not in fitted] if self.method == 'train' else []
        if missing:
            raise ConfigError(
                f'Normalize: no training statistics of {", ".join(missing)} in the checkpoint; use its config'
            )
        self._of_train = dict(fitted)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Normalise inputs; they become float32."""
        inputs = results['inputs']
        for feature in self.features or ():
            if self.method == 'train':
                mean, std = self._of_train[feature]
            else:
                mean, std = self._of_video(results['store'], results['video'], feature)
            values = np.subtract(inputs[feature], mean, dtype=np.float32)
            values /= std
            inputs[feature] = values
        return results

    def _of_video(self, store: FeatureStore, video: VideoInfo, feature: str) -> Moments:
        key = (video.video_id, feature)
        if key not in self._of_videos:
            self._of_videos[key] = _sequence_moments(store, video, feature)
            if len(self._of_videos) > REMEMBERED:
                self._of_videos.popitem(last=False)
        self._of_videos.move_to_end(key)
        return self._of_videos[key]


def _sequence_moments(store: FeatureStore, video: VideoInfo, feature: str) -> Moments:
    """Mean and unbiased standard deviation over a whole video."""
    values = store.read(video.video_id, feature, 0, video.num_frames)
    check_finite(values, feature, video.video_id)
    mean = values.mean(axis=0, dtype=np.float64)
    # One frame does not deviate: its 0/0 counts as 0, and so as 1.
    std = values.std(axis=0, dtype=np.float64, ddof=1) if len(values) > 1 else np.zeros_like(mean)
    # A constant whose mean is rounded deviates by rounding only, which must not be blown up to unit size.
    constant = (values == values[:1]).all(axis=0)
    return _as_float32(mean, np.where(constant, 1, std))


def _as_float32(mean: np.ndarray, std: np.ndarray) -> Moments:
    return mean.astype(np.float32), std.astype(np.float32)
