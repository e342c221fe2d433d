"""A store of any size whose data are made as they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.records import FeatureInfo, VideoInfo


class RandomStore(FeatureStore):
    """Random features and labels; a fifth of the videos is for evaluation.

    Args:
        root: any folder; nothing is read from it.
        features: shape and type of every feature.
        lengths: frames of each video.
    """

    def __init__(self, root: Path, features: dict[str, FeatureInfo], lengths: Sequence[int]) -> None:
        super().__init__(root)
        self._features = features
        self._videos = tuple(
            VideoInfo(f'v{i:06d}', 'val' if i % 5 == 4 else 'train', n) for i, n in enumerate(lengths)
        )
        rng = np.random.default_rng(0)
        # One video's numbers serve all of them: how fast they are read does not depend on the values.
        self._values = {name: random_values(rng, info, max(lengths)) for name, info in features.items()}
        self._va = rng.uniform(-1, 1, (max(lengths), 2)).astype(np.float32)

    def videos(self) -> tuple[VideoInfo, ...]:
        """All videos."""
        return self._videos

    def features(self) -> dict[str, FeatureInfo]:
        """All features, by name."""
        return self._features

    def _read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        return self._values[feature][start:stop]

    def _labels(self, video: VideoInfo, start: int, stop: int) -> np.ndarray:
        return self._va[start:stop]


def random_values(rng: np.random.Generator, info: FeatureInfo, length: int) -> np.ndarray:
    """(length, *dims): whole numbers of a byte for a feature of bytes, normal ones otherwise."""
    shape = (length, *info.dims)
    if info.dtype == 'uint8':
        return rng.integers(0, 256, shape, dtype=np.uint8)
    return rng.standard_normal(shape, dtype=np.float32)
