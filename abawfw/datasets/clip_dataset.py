"""Clips of videos, ready for a model."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from annotated_types import MinLen
from torch.utils.data import Dataset

from abawfw.components import Count, build
from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.splits.build import build_split
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.records import VideoInfo
from abawfw.datasets.transforms.batch_transform import BatchTransform
from abawfw.errors import ConfigError, DataError, nearest
from abawfw.registry import CLIPS, DATASETS, STORES, TRANSFORMS


class Clip(NamedTuple):
    """Frames ``start`` to ``stop`` of a video of the dataset.

    Attributes:
        video: index in ``dataset.videos``.
        start: first frame.
        stop: frame after the last.
        position: how many clips of the same video come before this one; 0 starts the video.
    """

    video: int
    start: int
    stop: int
    position: int


@DATASETS.register_module()
class ClipDataset(Dataset):
    """Clips of the videos of one partition, in store order, each run through a pipeline of transforms.

    Those that draw at random (`BatchTransform`) wait until clips stand in a batch.

    Building it opens the store but makes no pass over the data, unless a transform has a method
    ``fit(store, train_videos)``, which is called once with the training videos of the fold. Such a transform
    also has ``fitted()``, what it took from them as a dict of arrays, and ``load(fitted)``.
    A transform that changes the size of frames says so with ``output_dims(input_dims)``.
    A transform that has something of certain videos refuses others, given the dataset's, in ``check_videos``.
    A transform that acts on some features only names them in its attribute ``features``; None there is set to
    all features of the dataset.

    Args:
        store: folder of a store of any kind, config of a registered store, or a store.
        features: names of the features to load; their order is the order of the model's inputs.
        partition: 'train', 'val' or 'test'.
        clips: config of a registered rule that cuts a video into clips.
        pipeline: configs of registered transforms, in order; the last one makes tensors (``PackVA``).
        split: config of a registered fold rule.
        optional: features that are omitted where the store lacks them; the model must know of it.
        debug: take only this many videos, the first ones, of each fold that the rule joins to the partition
            (``RolledKFold``: five train, one validates), or of the whole partition where it joins none.
        fitted: what transforms took from the training videos of another run (its ``fitted``), to be used
            instead of fitting again; the weights of that run need it.
        fit: False leaves transforms unfitted, for a dataset that is asked for no clip.

    Attributes:
        videos: the videos of the partition, in store order.
        clips: all their clips, video by video, in order of time.
        input_dims: size of one frame of each feature after the pipeline, an int where it is a vector.
        on_batch: the transforms that act on batches, in order.
        seed: seed of random transforms; set by ``build_dataloader``.
        drew: class of the transform that has drawn for a clip last (``results['rng']``); None if none has.

    Raises:
        DataError: a feature that the store does not have, no video in the partition, an empty video.
        ConfigError: no feature, the same feature twice, a transform for a feature that is not loaded, one of
            single clips behind one of batches where the order matters, or one that draws outside of training.
    """

    def __init__(
        self,
        store: str | dict | FeatureStore,
        features: Annotated[Sequence[str], MinLen(1)],
        partition: str,
        clips: dict,
        pipeline: Annotated[Sequence[dict], MinLen(1)],
        split: dict | None = None,
        optional: Sequence[str] = (),
        debug: Count | None = None,
        fitted: Sequence[dict[str, Any]] | None = None,
        fit: bool = True,
    ) -> None:
        self.store: FeatureStore = _open(store)
        self.features = self._present(features, optional)
        self.partition = partition
        self.seed = 0
        self.drew: str | None = None
        self.input_dims = self._input_dims()

        fold = build_split(split, self.store)
        if debug is not None and (type(debug) is not int or debug < 1):
            raise ConfigError(f'ClipDataset(debug={debug!r}): a number of videos, 1 or more, or None for all')
        self.videos: list[VideoInfo] = _first_of_each_fold(fold, self.store, partition, debug)
        if not self.videos:
            found = Counter(video.partition for video in self.store.videos())
            listed = ', '.join(f'{name} ({count})' for name, count in found.items()) or 'no videos at all'
            raise DataError(f'{self.store.root}: no video in partition {partition!r}; the store has {listed}')
        rule = build(CLIPS, clips, 'clips')
        self.clips = [
            Clip(index, start, stop, position)
            for index, video in enumerate(self.videos)
            for position, (start, stop) in enumerate(self._cut(rule, video))
        ]

        self.pipeline = [build(TRANSFORMS, t, f'pipeline[{i}]') for i, t in enumerate(pipeline)]
        for transform in self.pipeline:
            self._settle_features(transform, set(optional) - set(self.features))
            if hasattr(transform, 'check_videos'):
                transform.check_videos(self.videos)
            if hasattr(transform, 'output_dims'):
                self.input_dims = transform.output_dims(self.input_dims)
        self.on_batch = [t for t in self.pipeline if isinstance(t, BatchTransform)]
        self._on_clip = [t for t in self.pipeline if not isinstance(t, BatchTransform)]
        if self.on_batch and partition != 'train':
            names = ', '.join(type(t).__name__ for t in self.on_batch)
            raise ConfigError(
                f'pipeline: {names}: what draws at random is for training: let it stand in '
                'train_dataloader.dataset.pipeline alone'
            )
        _check_order(self.pipeline)
        if fit:
            self._fit(_first_of_each_fold(fold, self.store, 'train', debug), fitted)

    @property
    def metainfo(self) -> dict[str, Any]:
        """What MMEngine's loops hand on to metrics and visualisers."""
        return {'partition': self.partition, 'features': list(self.features)}

    @property
    def fitted(self) -> list[dict[str, Any]]:
        """What each transform that is fitted has taken from the training videos, in order."""
        return [t.fitted() for t in self.pipeline if hasattr(t, 'fit')]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, request: ClipRequest) -> dict[str, Any]:
        """The clip asked for: inputs {feature: (time, *dims)} and data_sample, before transforms of batches.

        Raises:
            DataError: the store cannot give the clip, or a feature is NaN or infinite in it.
        """
        clip = self.clips[request.clip]

        @functools.cache  # called for the generator: making one costs 20 us, and most clips need none
        def rng() -> np.random.Generator:
            self.drew = type(transform).__name__
            return np.random.default_rng([self.seed, request.epoch, request.clip])

        results: dict[str, Any] = {
            'store': self.store,
            'video': self.videos[clip.video],
            'clip': clip,
            'features': self.features,
            'request': request,
            'rng': rng,
        }
        for transform in self._on_clip:
            results = transform(results)
        return _emptied(results) if request.filler else results

    def _fit(self, train_videos: list[VideoInfo], fitted: Sequence[dict[str, Any]] | None) -> None:
        if fitted is not None:
            load_fitted(self.pipeline, fitted)
            return
        for transform in self.pipeline:
            if hasattr(transform, 'fit'):
                transform.fit(self.store, train_videos)

    def _present(self, features: Sequence[str], optional: Sequence[str]) -> list[str]:
        unknown = [name for name in optional if name not in features]
        if unknown:
            raise ConfigError(
                f'ClipDataset: optional={unknown[0]!r} is not loaded; {nearest(unknown[0], features)}'
            )
        known = self.store.feature_names() if optional else []
        return [name for name in features if name not in optional or name in known]

    def _input_dims(self) -> dict[str, int | tuple[int, ...]]:
        if not self.features:
            raise ConfigError('ClipDataset needs at least one feature; set `features`')
        twice = [name for name, count in Counter(self.features).items() if count > 1]
        if twice:
            raise ConfigError(f'ClipDataset: named twice in `features`: {", ".join(twice)}')
        shapes = {name: self.store.feature(name).dims for name in self.features}
        return {name: dims[0] if len(dims) == 1 else dims for name, dims in shapes.items()}

    def _cut(self, rule: Any, video: VideoInfo) -> list[tuple[int, int]]:
        if video.num_frames < 1:
            raise DataError(f'{self.store.root}: video {video.video_id!r} has no frames; remove it')
        return rule.cut(video.num_frames)

    def _settle_features(self, transform: Any, absent: set[str]) -> None:
        if not hasattr(transform, 'features'):
            return
        if transform.features is None:
            transform.features = list(self.features)
        transform.features = [name for name in transform.features if name not in absent]
        for name in transform.features:
            if name not in self.input_dims:
                raise ConfigError(
                    f'{type(transform).__name__}(features=...): {name!r} is not loaded by the dataset'
                    f'; {nearest(name, self.features)}'
                )


def load_fitted(pipeline: Sequence[Any], fitted: Sequence[dict[str, Any]]) -> None:
    """Give transforms what those of another run took from its training videos.

    Args:
        pipeline: transforms, their ``features`` settled.
        fitted: of a dataset or a checkpoint, in the order of those that can be fitted.

    Raises:
        ConfigError: they are not as many.
    """
    transforms = [t for t in pipeline if hasattr(t, 'fit')]
    if len(fitted) < len(transforms):  # the run may have had none in place of one that acts on no feature
        transforms = [t for t in transforms if getattr(t, 'features', None) != []]
    if len(fitted) != len(transforms):
        raise ConfigError(
            f'the pipeline has {len(transforms)} transforms that are fitted to training videos, and the '
            f'checkpoint those of {len(fitted)}; use the config it was trained with'
        )
    for transform, values in zip(transforms, fitted, strict=True):
        transform.load(values)


def _check_order(pipeline: Sequence[Any]) -> None:
    """Refuse a transform of clips behind one of batches that changes what it looks at."""
    for place, drawing in enumerate(pipeline):
        for later in pipeline[place + 1 :] if isinstance(drawing, BatchTransform) else ():
            if isinstance(later, BatchTransform) or not getattr(later, 'changes_values', True):
                continue
            touched = getattr(later, 'features', None)
            if touched is None or set(touched) & set(drawing.changed):
                name = type(later).__name__
                raise ConfigError(
                    f'pipeline: {name} stands behind {type(drawing).__name__}, which draws for batches, '
                    f'after all that is done to a clip: put {name} before it'
                )


def videos_of(dataset: Mapping[str, Any], store: FeatureStore, partition: str) -> list[VideoInfo]:
    """The videos that a dataset has, by its config, which is not built.

    Args:
        dataset: config of a `ClipDataset`, resolved.
        store: that it reads.
        partition: 'train' or 'val'.
    """
    fold = build_split(dataset.get('split'), store)
    return _first_of_each_fold(fold, store, partition, dataset.get('debug'))


def _first_of_each_fold(fold: Any, store: FeatureStore, partition: str, count: int | None) -> list[VideoInfo]:
    """The videos of a partition, or so many of each fold in it."""
    videos = store.videos()
    parts = fold.parts(videos, partition) if hasattr(fold, 'parts') else [fold.videos(videos, partition)]
    return [video for part in parts for video in part[:count]]


def _open(store: str | dict | FeatureStore) -> FeatureStore:
    if isinstance(store, FeatureStore):
        return store
    return build(STORES, store, 'store') if isinstance(store, dict) else open_store(Path(store))


def _emptied(item: dict[str, Any]) -> dict[str, Any]:
    """The sample with its shapes kept, but no valid frame and no label.

    Nothing is changed in place: a store may have handed out the arrays that it keeps.
    """
    item['inputs'] = {name: torch.zeros_like(values) for name, values in item['inputs'].items()}
    sample = item['data_sample']
    sample.gt_va = torch.full_like(sample.gt_va, math.nan)
    if sample.teacher_va is not None:
        sample.teacher_va = torch.full_like(sample.teacher_va, math.nan)
    sample.valid, sample.observed = torch.zeros_like(sample.valid), torch.zeros_like(sample.observed)
    sample.num_frames, sample.starts_video = 0, False
    return item
