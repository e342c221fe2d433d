"""What the batch samplers have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from torch.utils.data import Sampler

from abawfw.datasets.clip_request import ClipRequest
from abawfw.errors import ConfigError, TrainingError

if TYPE_CHECKING:
    from abawfw.datasets.clip_dataset import ClipDataset

Batch = list[ClipRequest]


class EpochBatchSampler(Sampler[Batch]):
    """Batches of clips as a pure function of (seed, epoch), sharded over ranks, startable in mid-epoch.

    Every clip comes exactly once per epoch, over all ranks. When training (``shuffle``), a rank with fewer
    batches than another ends with fillers, because all ranks must step together; in evaluation it just ends
    earlier.

    Args:
        dataset: its ``clips`` are sampled.
        shuffle: True for training: another order in every epoch.
        seed: seed of the order.
        rank: index of this process.
        world_size: number of processes.
    """

    def __init__(
        self, dataset: ClipDataset, shuffle: bool, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        if not 0 <= rank < world_size:
            raise ConfigError(f'{type(self).__name__}: rank {rank} of {world_size} processes')
        self.dataset = dataset
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.start_batch = 0
        self._planned: tuple[int, list[Batch]] | None = None

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Choose the epoch that iterators made from now on go through.

        Args:
            epoch: counted from 0.
            start_batch: batches of the epoch that iterators leave out, after a resume in mid-epoch.
        """
        self.epoch = epoch
        self.start_batch = start_batch

    def __len__(self) -> int:
        """Batches of this epoch on this rank, those before ``start_batch`` included."""
        return len(self._batches())

    def __iter__(self) -> Iterator[Batch]:
        """The batches of this epoch on this rank, from ``start_batch`` on.

        Raises:
            TrainingError: the epoch has fewer batches than are to be omitted.
        """
        batches = self._batches()
        if self.start_batch > len(batches):
            raise TrainingError(
                f'cannot start epoch {self.epoch} at batch {self.start_batch}: it has {len(batches)}; '
                'data, batch size or number of processes are not those of the interrupted run'
            )
        # Not a generator: that would look at the epoch only when the first batch is asked for.
        return iter(batches[self.start_batch :])

    @abstractmethod
    def _plan(self, rng: np.random.Generator) -> list[list[Batch]]:
        """The batches of the current epoch, one list per rank."""

    def _batches(self) -> list[Batch]:
        if self._planned is None or self._planned[0] != self.epoch:
            # The key sets this stream apart from those of the clips, seeded with [seed, epoch, clip].
            sequence = np.random.SeedSequence([self.seed, self.epoch], spawn_key=(1,))
            plan = self._plan(np.random.default_rng(sequence))
            batches = plan[self.rank]
            if self.shuffle:
                missing = max(map(len, plan)) - len(batches)
                batches = batches + [[ClipRequest(0, epoch=self.epoch, filler=True)]] * missing
            self._planned = (self.epoch, batches)
        return self._planned[1]
