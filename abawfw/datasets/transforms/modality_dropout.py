"""Learning to do without a modality."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from abawfw.components import Probability
from abawfw.datasets.transforms.batch_transform import BatchTransform, frames_of
from abawfw.errors import ConfigError
from abawfw.registry import TRANSFORMS
from abawfw.structures import VABatch
from abawfw.structures.va_batch import places


@TRANSFORMS.register_module()
class ModalityDropout(BatchTransform):
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

    @property
    def changed(self) -> Sequence[str]:
        """None: what is hidden is what counts as observed."""
        return ()

    def hide(self, batch: VABatch, names: Sequence[str], generator: torch.Generator) -> None:
        """Set observed to False for what is dropped."""
        columns = [names.index(feature) for feature in self.features or ()]
        seen = batch.observed.any(dim=1)
        gone, kept_anyway = torch.zeros_like(seen), torch.zeros(seen.shape)
        # Drawn for every modality, there or not: what is drawn later must not depend on the data.
        gone[:, columns] = torch.rand(len(batch), len(columns), generator=generator) < self.p
        kept_anyway[:, columns] = torch.rand(len(batch), len(columns), generator=generator)
        gone &= seen
        nothing_left = seen.any(dim=1) & (gone == seen).all(dim=1)
        kept = torch.where(gone, kept_anyway, -1).argmax(dim=1)
        gone[nothing_left, kept[nothing_left]] = False
        batch.observed &= ~gone[:, None]
        batch.observed_at = places(batch.observed)

    def __call__(self, inputs: dict[str, Tensor], batch: VABatch, generator: torch.Generator) -> None:
        """Set what is not observed to zero."""
        for column, (feature, x) in enumerate(inputs.items()):
            if feature in (self.features or ()) and batch.observed_at[column] is not None:
                x.masked_fill_(frames_of(~batch.observed[..., column], x), 0)
