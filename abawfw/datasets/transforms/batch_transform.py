"""What draws at random: on the batch, on the model's device, from generators that a batch's place seeds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from abawfw.structures import VABatch


class Generators(NamedTuple):
    """What a batch's random numbers are taken from.

    Attributes:
        host: for masks, which are drawn before the batch is moved.
        device: for inputs, on the device where they lie.
    """

    host: torch.Generator
    device: torch.Generator

    @classmethod
    def on(cls, device: torch.device | str) -> Generators:
        """Generators for a device, to be set to a batch."""
        return cls(torch.Generator(), torch.Generator(device))

    def set_to(self, seed: int, epoch: int, batch: int, rank: int) -> None:
        """Begin the random numbers of a batch: they depend on its place in the run alone.

        Args:
            seed: of the run.
            epoch: counted from 0.
            batch: index in the epoch, counted from 0.
            rank: of the process.
        """
        # The key sets these streams apart from those of clips and of their order.
        sequence = np.random.SeedSequence([seed, epoch, batch, rank], spawn_key=(2,))
        for generator, word in zip(self, sequence.generate_state(2, np.uint64).tolist(), strict=True):
            generator.manual_seed(word)


class BatchTransform(ABC):
    """A transform of a pipeline that draws at random, and acts on the batch in place of each clip.

    All of a pipeline act after the transforms of single clips, in their order: first each has its say in
    which frames count as observed, on the host, then each changes inputs or labels, on the device. Nothing
    may be read back from there. Frames that are not observed, such as padding, are zero before and have to be
    after.

    Attributes:
        features: names of the features it acts on; None for all, which the dataset fills in.
    """

    features: list[str] | None

    @property
    def changed(self) -> Sequence[str]:
        """The features whose values it changes."""
        return self.features or ()

    def hide(  # noqa: B027 (most have nothing to hide)
        self, batch: VABatch, names: Sequence[str], generator: torch.Generator
    ) -> None:
        """Change ``observed`` and ``observed_at`` of a batch that lies on the host; by default nothing.

        Args:
            batch: to be changed.
            names: the features, in the order of the columns of ``observed``.
            generator: of random numbers, on the host.
        """

    @abstractmethod
    def __call__(self, inputs: dict[str, Tensor], batch: VABatch, generator: torch.Generator) -> None:
        """Change the inputs, or the labels, of a batch.

        Args:
            inputs: ``{feature: (batch, time, *dims)}`` on the device; the dict and its tensors are the
                batch's own and may be changed.
            batch: its masks and labels, on the device; ``gt_va`` may be replaced.
            generator: of random numbers, on the device.
        """


def frames_of(mask: Tensor, values: Tensor) -> Tensor:
    """A mask (batch, time) in a shape that is broadcast over values (batch, time, *dims)."""
    return mask.view(*mask.shape, *[1] * (values.ndim - 2))
