"""Batches of independent clips."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from abawfw.components import Count
from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.samplers.epoch_batch_sampler import Batch, EpochBatchSampler
from abawfw.datasets.transforms.pad_to import PadTo
from abawfw.errors import ConfigError
from abawfw.registry import SAMPLERS

if TYPE_CHECKING:
    from abawfw.datasets.clip_dataset import ClipDataset


@SAMPLERS.register_module()
class ClipSampler(EpochBatchSampler):
    """Clips in random order; shorter ones (the ends of videos) in batches of their own.

    Batches of shorter clips, sorted by length, take more of them: as many as make no more frames to compute
    than a batch of the longest clips. So hardly any computed frame is padding. Clips that ``PadTo`` makes
    longer count as long as they become.

    Args:
        dataset: its ``clips`` are sampled.
        batch_size: longest clips in a batch.
        shuffle: True for training: clips and batches in another order in every epoch.
        seed: seed of the order.
        rank: index of this process.
        world_size: number of processes; each takes every ``world_size``-th batch.

    Raises:
        ConfigError: a batch size below 1.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        batch_size: Count,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(dataset, shuffle, seed, rank, world_size)
        if batch_size < 1:
            raise ConfigError(f'ClipSampler(batch_size={batch_size}): a batch has at least one clip')
        self.batch_size = batch_size

    def _plan(self, rng: np.random.Generator) -> list[list[Batch]]:
        padded = (t.length for t in getattr(self.dataset, 'pipeline', ()) if isinstance(t, PadTo))
        lengths = np.array([clip.stop - clip.start for clip in self.dataset.clips])
        lengths = np.maximum(lengths, max(padded, default=0))
        longest = int(lengths.max())
        order = rng.permutation(len(lengths)) if self.shuffle else np.arange(len(lengths))
        full = order[lengths[order] == longest]
        short = order[lengths[order] < longest]
        whole = len(full) // self.batch_size * self.batch_size
        groups = [full[i : i + self.batch_size] for i in range(0, whole, self.batch_size)]

        # Longest clips that fill no batch come first among the shorter ones.
        rest = np.concatenate([full[whole:], short[np.argsort(-lengths[short], kind='stable')]])
        while len(rest):
            rows = self.batch_size * longest // int(lengths[rest[0]])
            groups.append(rest[:rows])
            rest = rest[rows:]

        if self.shuffle:
            groups = [groups[i] for i in rng.permutation(len(groups))]
        batches = [[ClipRequest(clip, epoch=self.epoch) for clip in group.tolist()] for group in groups]
        return [batches[rank :: self.world_size] for rank in range(self.world_size)]
