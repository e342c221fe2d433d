"""VGGish on log-mel spectrograms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.extraction.audio.audio import Audio
from abawfw.extraction.extractors.base import AudioExtractor
from abawfw.extraction.extractors.frozen_backbone import FrozenBackbone
from abawfw.extraction.extractors.logmel import LogMel
from abawfw.registry import EXTRACTORS


@EXTRACTORS.register_module('vggish')
class VGGishFeature(AudioExtractor):
    """VGGish without PCA of the .96 s from each frame on, as of feature logmel (docs/tagf.md, Preprocessing).

    Args:
        weights: file of weights of VGGish; `check` says where one is.
        backbone: arguments of our VGGish, where the weights are of another width.
        device: where the network runs.
    """

    name = 'vggish'

    def __init__(
        self,
        weights: str | Path | None = None,
        backbone: dict[str, Any] | None = None,
        device: str = 'cpu',
    ) -> None:
        self._windows = LogMel()
        cfg = {'type': 'VGGish', **(backbone or {})}
        self._network = FrozenBackbone(self.name, cfg, self._windows.dims, weights, device)

    @property
    def dims(self) -> tuple[int, ...]:
        """Length of a vector."""
        return (128,)

    def settings(self) -> dict[str, Any]:
        """See `Extractor.settings`."""
        return self._network.settings()

    def check(self) -> None:
        """See `Extractor.check`."""
        self._network.check()

    def rows(self, audio: Audio, times: NDArray[np.float64]) -> Iterator[NDArray[np.float32]]:
        """See `AudioExtractor.rows`."""
        for windows in self._windows.rows(audio, times):
            yield self._network(windows)
