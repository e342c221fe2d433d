"""A run's transforms, for frames that come one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from abawfw.datasets.clip_dataset import load_fitted
from abawfw.datasets.transforms import LoadFeatures, PackVA, PadTo, ShiftLabels
from abawfw.registry import TRANSFORMS

# Reading, labels, the length of clips and tensors are no matter of frames that are handed over.
OF_CLIPS = (LoadFeatures, ShiftLabels, PadTo, PackVA)


class FramePipeline:
    """The transforms of evaluation that change inputs, with the statistics of the training videos.

    Args:
        pipeline: configs of a run's transforms in evaluation.
        features: those that are handed over.
        fitted: what the transforms took from the training videos.

    Raises:
        ConfigError: a feature has no statistics.
    """

    def __init__(
        self,
        pipeline: Sequence[Mapping[str, Any]],
        features: Sequence[str],
        fitted: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        built = [TRANSFORMS.build(dict(cfg)) for cfg in pipeline]
        self.masked = any(t.masked for t in built if isinstance(t, LoadFeatures))
        self.transforms = [t for t in built if not isinstance(t, OF_CLIPS)]
        for transform in self.transforms:
            if hasattr(transform, 'features'):
                named = features if transform.features is None else transform.features
                transform.features = [name for name in named if name in features]
        if fitted is not None:
            load_fitted(self.transforms, fitted)

    @property
    def obstacles(self) -> list[str]:
        """Why it cannot be run frame by frame: one line per transform; none if it can."""
        lines = []
        for transform in self.transforms:
            if not getattr(transform, 'per_frame', False):
                unknown = 'it does not say that it treats every frame alone (per_frame)'
                lines.append(f'{type(transform).__name__}: {getattr(transform, "needs", unknown)}')
        return lines

    def __call__(
        self, frames: Mapping[str, np.ndarray], observed: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Frames as a network takes them.

        Args:
            frames: ``{feature: (frames, *dims)}``.
            observed: ``{feature: (frames,) bool}``; all count as observed where the run is not masked.

        Returns:
            ``{feature: (1, frames, *dims)}``, zero where not observed, and (1, frames, features) bool.
        """
        results: dict[str, Any] = {'inputs': dict(frames)}
        for transform in self.transforms:
            results = transform(results)
        inputs, seen = {}, []
        for name, values in results['inputs'].items():
            dtype = values.dtype if values.dtype in (np.uint8, np.float16) else np.float32
            there = np.asarray(observed[name], bool) if self.masked else np.ones(len(values), bool)
            x = torch.from_numpy(np.array(values, dtype=dtype, order='C'))
            x[torch.from_numpy(~there)] = 0
            inputs[name] = x[None]
            seen.append(torch.from_numpy(there))
        return inputs, torch.stack(seen, dim=-1)[None]
