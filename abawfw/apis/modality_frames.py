"""Frames of one modality, prepared for its backbone."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.config import Config
from torch import Tensor

from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.stores.base import FeatureStore, VideoInfo
from abawfw.errors import ConfigError
from abawfw.registry import DATASETS, TRANSFORMS


class ModalityFrames:
    """The frames of one modality as the evaluation pipeline makes them, video by video.

    All frames that exist, also those in which nothing was observed.

    Args:
        cfg: resolved config; its ``val_dataloader`` tells the pipeline.
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
            item = dataset[ClipRequest(index)]
            yield item['inputs'][self.modality][: item['data_sample'].num_frames]


def _concerns(step: dict, modality: str) -> bool:
    """Whether a transform acts on a modality; without features it acts on all."""
    features = step.get('features')
    return features is None or modality in features
