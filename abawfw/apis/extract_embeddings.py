"""Outputs of frozen backbones, computed once instead of in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor, nn

from abawfw.apis.build import fitted_of
from abawfw.apis.check import check_config
from abawfw.checkpoints import load_checkpoint
from abawfw.config.loading import resolve
from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.loader import one_clip
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.checks import chunks
from abawfw.datasets.stores.records import NARROW_DTYPES, VideoInfo
from abawfw.datasets.stores.trials.files import TRACK
from abawfw.datasets.stores.trials.writer import TrialWriter
from abawfw.devices import AUTO, computing_on, computing_with, find_device
from abawfw.errors import ConfigError
from abawfw.extraction.faces.detectors.base import FACES
from abawfw.extraction.speech import SPEECH
from abawfw.models.parts import build_per_modality, load_part
from abawfw.registry import BACKBONES, DATASETS, TRANSFORMS

NAMES = {'video': 'video_embedding', 'logmel': 'audio_embedding'}


@dataclass(frozen=True)
class Extracted:
    """What was written.

    Attributes:
        root: folder of the new store.
        videos: number of videos.
        frames: of all videos.
        embeddings: new features -> length of a vector.
        copied: features taken over as they were.
    """

    root: Path
    videos: int
    frames: int
    embeddings: dict[str, int]
    copied: list[str]


def extract_embeddings(
    cfg: Config,
    checkpoint: Path | None,
    out: Path,
    progress: Callable[[int, int], None] | None = None,
    device: str = AUTO,
    threads: int | None = None,
) -> Extracted:
    """Write what a model's backbones give for every frame of every video of a store, and all else beside it.

    The new store, one folder per trial, has ``video_embedding`` in place of video, ``audio_embedding`` in
    place of logmel and NAME_embedding in place of any other modality with a backbone, also where the old one
    has a feature of this name. Other vectors, such as bert, their settings of extraction, labels, masks,
    times of frames and tracks of faces are copied. A model without the backbones gives the same on it as the
    model with them on the old one. It appears under its name when it is complete, and not at all otherwise.

    Backbones run in float32 and evaluation mode, on frames as the pipeline of ``val_dataloader`` makes them,
    and on all of them: whether frames without a face count as observed is decided when embeddings are loaded.

    Args:
        cfg: loaded config, references not resolved.
        checkpoint: of a run of the config; None: the backbones' own pre-trained weights.
        out: folder to make.
        progress: called before each video with the videos done and all videos.
        device: what computes, as ``find_device`` takes it.
        threads: of the CPU; None for what ``computing_with`` finds right.

    Raises:
        ConfigError: the config has no backbones, or one without weights.
        DataError: ``out`` exists and is not empty, or the store is damaged.
        CheckpointError: weights are missing or belong to another model.
    """
    device = find_device(device)
    check_config(cfg, weights=checkpoint is None)
    cfg = resolve(cfg)
    if not cfg.model.get('backbones'):
        raise ConfigError(
            f'{cfg.filename}: the model has no backbones, so there is nothing to extract: choose a config '
            'that starts from pixels or log-mel'
        )
    fitted = fitted_of(load_checkpoint(checkpoint)['meta']) if checkpoint is not None else None
    store = open_store(cfg.data_root)
    sources = {m: ModalityFrames(cfg, store, m, fitted) for m in cfg.model.backbones}
    backbones = _backbones(cfg, checkpoint, {m: frames.dims for m, frames in sources.items()}, device)
    names = {m: NAMES.get(m, f'{m}_embedding') for m in backbones}
    copied = [n for n, i in store.features().items() if len(i.dims) == 1 and n not in names.values()]
    infos = {n: store.feature(n) for n in copied}
    dims = {names[m]: (b.out_dim,) for m, b in backbones.items()} | {n: i.dims for n, i in infos.items()}
    dtypes = {n: i.dtype for n, i in infos.items() if i.dtype in NARROW_DTYPES}
    extraction = {n: s for n, s in store.extraction.items() if n in copied or n in (FACES, SPEECH)}
    observed_of = {name: modality for modality, name in names.items()} | {n: n for n in copied}
    with (
        computing_on(device),
        computing_with(threads, cfg.get('threads'), *backbones.values()),
        TrialWriter(out, dims, dtypes, extraction) as writer,
    ):
        for done, video in enumerate(store.videos()):
            if progress:
                progress(done, len(store.videos()))
            whole = 0, video.num_frames
            track = store.root / video.video_id / TRACK
            masks = {n: store.observed(video.video_id, old, *whole) for n, old in observed_of.items()}
            writer.add(
                video.video_id,
                video.partition,
                {names[m]: _embed(b, sources[m].clips(video), device) for m, b in backbones.items()}
                | {n: _copy(store, video, n) for n in copied},
                store.labels(video.video_id, *whole) if video.has_labels else None,
                {n: mask for n, mask in masks.items() if not mask.all()},
                video.fps,
                video.group,
                store.times(video.video_id),
                track if track.is_file() else None,
            )
    total = sum(video.num_frames for video in store.videos())
    lengths = {name: dims[name][0] for name in names.values()}
    return Extracted(out, len(store.videos()), total, lengths, copied)


def _backbones(cfg: Config, checkpoint: Path | None, dims: dict[str, Any], device: str) -> dict[str, Any]:
    """The backbones with their weights, on the device, in evaluation mode."""
    built: Any = build_per_modality(BACKBONES, 'backbones', cfg.model.backbones.to_dict(), dims)
    if checkpoint is not None:
        load_part(nn.ModuleDict({'backbones': built}), 'backbones', str(checkpoint))
    else:
        for name, backbone in built.items():
            if backbone.weights is None and not getattr(backbone, 'pretrained', False):
                raise ConfigError(
                    f'model.backbones.{name}: has no weights, and vectors from an untrained network tell '
                    'nothing: set its weights, or give a checkpoint'
                )
            backbone.init_weights()
    return dict(built.to(device).eval().items())


def _embed(backbone: Any, pieces: Iterator[Tensor], device: str) -> Iterator[np.ndarray]:
    """Vectors (frames, out_dim) of each piece."""
    for frames in pieces:
        with torch.inference_mode():
            yield backbone(frames.to(device)).float().cpu().numpy()


def _copy(store: FeatureStore, video: VideoInfo, feature: str) -> Iterator[np.ndarray]:
    """A feature as the store has it, piece by piece."""
    for start, stop in chunks(video.num_frames, store.feature(feature).dims):
        yield store.read(video.video_id, feature, start, stop)


class ModalityFrames:
    """The frames of one modality as the evaluation pipeline makes them, video by video.

    All frames that exist, also those in which nothing was observed.

    Args:
        cfg: resolved config; its ``val_dataloader`` has the pipeline.
        store: where the frames lie.
        modality: which one.
        fitted: what the transforms of a run took from its training videos.

    Attributes:
        dims: shape of a frame after the pipeline.

    Raises:
        DataError, ConfigError: as ``ClipDataset``.
    """

    def __init__(self, cfg: Config, store: FeatureStore, modality: str, fitted: list | None) -> None:
        dataset = cfg.val_dataloader.dataset.to_dict()
        # what is done to other modalities does not matter here
        steps = {i: dict(s) for i, s in enumerate(dataset['pipeline']) if _concerns(s, modality)}
        for step in steps.values():
            if 'features' in step:
                step['features'] = [modality]
            if step['type'] == 'LoadFeatures':
                step['masked'] = False
        taken = None
        if fitted is not None:
            places = [
                i for i, s in enumerate(dataset['pipeline']) if hasattr(TRANSFORMS.get(s['type']), 'fit')
            ]
            if len(places) != len(fitted):
                raise ConfigError(
                    f'the pipeline has {len(places)} transforms that are fitted to training videos, and the '
                    f'checkpoint those of {len(fitted)}; use the config it was trained with'
                )
            taken = [fit for place, fit in zip(places, fitted, strict=True) if place in steps]
        dataset |= {
            'store': store,
            'features': [modality],
            'optional': (),
            'pipeline': list(steps.values()),
            'fitted': taken,
            'split': {'type': 'OfficialSplit'},
            'debug': None,
            # no longer than those that the pipeline is made for
            'clips': {'type': 'Segments', 'length': dataset['clips']['length']},
        }
        self.modality = modality
        partitions = dict.fromkeys(video.partition for video in store.videos())
        self._datasets = {p: DATASETS.build({**dataset, 'partition': p}) for p in partitions}
        self._clips: dict[str, list[int]] = {}
        for built in self._datasets.values():
            for index, clip in enumerate(built.clips):
                self._clips.setdefault(built.videos[clip.video].video_id, []).append(index)
        self.dims = next(iter(self._datasets.values())).input_dims[modality]

    def clips(self, video: VideoInfo) -> Iterator[Tensor]:
        """All frames of a video in order, in pieces (frames, *dims)."""
        dataset = self._datasets[video.partition]
        for index in self._clips[video.video_id]:
            batch = one_clip(dataset, ClipRequest(index))
            yield batch['inputs'][self.modality][0, : batch['data_samples'].num_frames[0]]


def _concerns(step: dict, modality: str) -> bool:
    """Whether a transform acts on a modality; without features it acts on all."""
    features = step.get('features')
    return features is None or modality in features
