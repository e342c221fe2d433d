"""Frames of one modality, prepared for its backbone."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.config import Config
from torch import Tensor

from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.stores.base import FeatureStore, VideoInfo
from abawfw.registry import DATASETS


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
        steps = {
            i: dict(step)
            for i, step in enumerate(dataset['pipeline'])
            if modality in step.get('features', [modality])
        }
        for step in steps.values():
            if 'features' in step:
                step['features'] = [modality]
            if step['type'] == 'LoadFeatures':
                step['masked'] = False
        dataset |= {
            'store': store,
            'features': [modality],
            'optional': (),
            'pipeline': list(steps.values()),
            'fitted': None if fitted is None else [fitted[i] for i in steps],
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
