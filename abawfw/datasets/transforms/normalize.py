"""Zero mean and unit standard deviation, of a feature or of each of its dimensions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.checks import check_finite
from abawfw.datasets.stores.records import VideoInfo
from abawfw.errors import ConfigError
from abawfw.registry import TRANSFORMS

METHODS = ('train', 'train_scalar', 'sequence')
REMEMBERED = 1024
"""Statistics of sequences that are kept, one per video and feature: nearly all of Aff-Wild2's training videos
with three features, and about 4 MB for three features of 1,238 dimensions together."""

Moments = tuple[np.ndarray, np.ndarray]


@TRANSFORMS.register_module()
class Normalize:
    """Subtract the mean and divide by the standard deviation (docs/rucaim3.md, docs/tagf.md).

    Args:
        method: 'train': statistics of every dimension over all frames of the fold's training videos;
            'train_scalar': one mean and one standard deviation over all dimensions of a feature;
            'sequence': of every dimension, mean and unbiased standard deviation over all frames of the video
            that the clip is cut from. A standard deviation of 0 counts as 1.
        features: names of the features to normalise; None for all that the dataset loads. Images (bytes)
            are refused: backbones scale these.
        masked: take the statistics over frames in which the feature was observed only, as the model then sees
            it (``LoadFeatures(masked=True)``); otherwise over all frames, whatever the store has there.

    Raises:
        ConfigError: an unknown method, or an image feature.
        DataError: statistics of a video with NaN or infinite frames, or of no observed frame in training.
    """

    def __init__(self, method: str, features: Sequence[str] | None = None, masked: bool = False) -> None:
        if method not in METHODS:
            known = ' and '.join([', '.join(map(repr, METHODS[:-1])), repr(METHODS[-1])])
            raise ConfigError(f'Normalize(method={method!r}): there are {known}')
        self.method = method
        self.features = None if features is None else list(features)
        self.masked = masked
        self._of_train: dict[str, Moments] = {}
        self._of_videos: OrderedDict[tuple[str, str], Moments] = OrderedDict()

    needs = "the statistics of method 'sequence' are those of the whole video"

    @property
    def per_frame(self) -> bool:
        """Whether a frame is treated whatever else the video holds."""
        return self.method != 'sequence'

    def fit(self, store: FeatureStore, train_videos: Sequence[VideoInfo]) -> None:
        """Unless the method is 'sequence', take the statistics of ``features`` over the training videos."""
        ids = [video.video_id for video in train_videos]
        for feature in self.features or ():
            refuse_images(store, feature)
            if self.method == 'train':
                self._of_train[feature] = _as_float32(*store.moments(feature, ids, self.masked))
            elif self.method == 'train_scalar':
                self._of_train[feature] = _as_float32(*store.scalar_moments(feature, ids, self.masked))

    def fitted(self) -> dict[str, Moments]:
        """The statistics of the training videos, by feature; they belong to the weights trained with them."""
        return dict(self._of_train)

    def load(self, fitted: dict[str, Moments]) -> None:
        """Use these statistics instead of fitting.

        Raises:
            ConfigError: they lack a feature that is to be normalised.
        """
        needed = () if self.method == 'sequence' else self.features or ()
        missing = [feature for feature in needed if feature not in fitted]
        if missing:
            raise ConfigError(
                f'Normalize: no training statistics of {", ".join(missing)} in the checkpoint; use its config'
            )
        self._of_train = dict(fitted)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Normalise inputs; they become float32."""
        inputs = results['inputs']
        for feature in self.features or ():
            if self.method == 'sequence':
                mean, std = self._of_video(results['store'], results['video'], feature)
            else:
                mean, std = self._of_train[feature]
            values = np.subtract(inputs[feature], mean, dtype=np.float32)
            values /= std
            inputs[feature] = values
        return results

    def _of_video(self, store: FeatureStore, video: VideoInfo, feature: str) -> Moments:
        key = (video.video_id, feature)
        if key not in self._of_videos:
            self._of_videos[key] = _sequence_moments(store, video, feature, self.masked)
            if len(self._of_videos) > REMEMBERED:
                self._of_videos.popitem(last=False)
        self._of_videos.move_to_end(key)
        return self._of_videos[key]


def refuse_images(store: FeatureStore, feature: str) -> None:
    """ConfigError if a feature holds images."""
    info = store.feature(feature)
    if info.dtype == 'uint8' and len(info.dims) > 1:
        raise ConfigError(
            f'Normalize: feature {feature!r} holds images, {"x".join(map(str, info.dims))} {info.dtype}, '
            'which the backbone scales; name those to normalise, features=[...], without it'
        )


def _sequence_moments(store: FeatureStore, video: VideoInfo, feature: str, masked: bool) -> Moments:
    """Mean and unbiased standard deviation over a whole video."""
    values = store.read(video.video_id, feature, 0, video.num_frames)
    check_finite(values, feature, video.video_id)
    if masked:
        values = values[store.observed(video.video_id, feature, 0, video.num_frames)]
        if not len(values):  # no frame will be shown to the model: whatever it is divided by
            return np.zeros(values.shape[1:], np.float32), np.ones(values.shape[1:], np.float32)
    mean = values.mean(axis=0, dtype=np.float64)
    # One frame does not deviate: its 0/0 counts as 0, and so as 1.
    std = values.std(axis=0, dtype=np.float64, ddof=1) if len(values) > 1 else np.zeros_like(mean)
    # A constant whose mean is rounded deviates by rounding only, which must not be blown up to unit size.
    constant = (values == values[:1]).all(axis=0)
    return _as_float32(mean, np.where(constant, 1, std))


def _as_float32(mean: np.ndarray | float, std: np.ndarray | float) -> Moments:
    return np.asarray(mean, np.float32), np.asarray(std, np.float32)
