"""A store whose data lie in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.records import FeatureInfo, VideoInfo

PIPELINE = [{'type': 'LoadFeatures'}, {'type': 'PackVA'}]


class MemoryStore(FeatureStore):
    """Random features and labels of videos named v0, v1 ...; any array may be changed by a test."""

    def __init__(
        self,
        lengths: Sequence[int],
        dims: dict[str, tuple[int, ...]] | None = None,
        partitions: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(Path(__file__).parent)
        rng = np.random.default_rng(seed)
        partitions = partitions or ['train'] * len(lengths)
        self.infos = tuple(
            VideoInfo(f'v{i}', p, n, has_labels=p != 'test')
            for i, (n, p) in enumerate(zip(lengths, partitions, strict=True))
        )
        self.dims = {'face': (3,), 'audio': (2,)} if dims is None else dims
        self.data = {
            (v.video_id, f): rng.normal(2, 3, (v.num_frames, *d)).astype(np.float32)
            for v in self.infos
            for f, d in self.dims.items()
        }
        self.masks: dict[tuple[str, str], np.ndarray] = {}
        self.va = {v.video_id: rng.uniform(-1, 1, (v.num_frames, 2)).astype(np.float32) for v in self.infos}

    def videos(self) -> tuple[VideoInfo, ...]:
        return self.infos

    def features(self) -> dict[str, FeatureInfo]:
        return {name: FeatureInfo(dims, 'float32') for name, dims in self.dims.items()}

    def _read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        view = self.data[video.video_id, feature][start:stop]
        view.flags.writeable = False  # as of a file mapped for reading
        return view

    def _observed(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        mask = self.masks.get((video.video_id, feature), np.ones(video.num_frames, dtype=bool))
        return mask[start:stop]

    def _labels(self, video: VideoInfo, start: int, stop: int) -> np.ndarray:
        return self.va[video.video_id][start:stop]
