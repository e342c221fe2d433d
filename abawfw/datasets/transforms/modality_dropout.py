"""Learning to do without a modality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from abawfw.components import Probability
from abawfw.errors import ConfigError
from abawfw.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ModalityDropout:
    """Treat a modality as not observed in a whole clip, each with the same probability. For training only.

    Of the modalities that are observed somewhere in the clip at least one stays: where all would go, one of
    those that could is kept, each with the same probability.

    Args:
        p: probability of dropping a modality, at least 0 and below 1.
        features: names of the modalities that may be dropped; None for all that the dataset loads.

    Raises:
        ConfigError: another probability.
    """

    def __init__(self, p: Probability, features: Sequence[str] | None = None) -> None:
        if not 0 <= p < 1:
            raise ConfigError(f'ModalityDropout(p={p}): a probability of at least 0 and below 1')
        self.p = p
        self.features = None if features is None else list(features)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Set observed to False for what is dropped."""
        observed, rng = results['observed'], results['rng']()
        features = self.features or ()
        # Drawn for every modality, there or not: what is drawn later must not depend on the data.
        drawn = rng.random(len(features)) < self.p
        kept_anyway = rng.random(len(features))
        seen = [name for name in observed if observed[name].any()]
        dropped = [name for name, drop in zip(features, drawn, strict=True) if drop and name in seen]
        if seen and len(dropped) == len(seen):
            dropped.remove(max(dropped, key=lambda name: kept_anyway[list(features).index(name)]))
        for name in dropped:
            observed[name] = np.zeros_like(observed[name])
        return results
