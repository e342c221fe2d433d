"""Batches for models that carry state from one clip to the next."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, Le

from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.samplers.epoch_batch_sampler import Batch, EpochBatchSampler
from abawfw.errors import ConfigError
from abawfw.registry import SAMPLERS

if TYPE_CHECKING:
    from abawfw.datasets.clip_dataset import ClipDataset

JITTER = 0.25
"""By which fraction a video's length is misjudged at random when lanes are filled in training: enough that
videos meet others in every epoch, little enough that long videos come before short ones, so that these level
the lanes."""


@SAMPLERS.register_module()
class LaneBatchSampler(EpochBatchSampler):
    """Lanes, each streaming one video after another; a batch is the next clip of every lane.

    A video is streamed whole and in order in one lane, so that a model can keep one state per lane. Videos
    are dealt to lanes so that all end nearly together: longest first, each to the lane with the fewest clips.
    A lane that has ended is omitted of the batch. Rows are ordered by lane, and a request says its lane.

    Args:
        dataset: its ``clips`` are sampled.
        lanes: number of lanes of one process, that is rows of a batch.
        shuffle: True for training: other lanes and another order of videos in every epoch.
        seed: seed of the order.
        rank: index of this process.
        world_size: number of processes; each has its own lanes.

    Raises:
        ConfigError: fewer than one lane.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        lanes: Annotated[int, Ge(1), Le(10_000)],
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(dataset, shuffle, seed, rank, world_size)
        if lanes < 1:
            raise ConfigError(f'LaneBatchSampler(lanes={lanes}): at least one lane is needed')
        self.lanes = lanes

    def _plan(self, rng: np.random.Generator) -> list[list[Batch]]:
        firsts = [index for index, clip in enumerate(self.dataset.clips) if clip.position == 0]
        sizes = np.diff([*firsts, len(self.dataset.clips)])
        streams = [
            [clip for video in lane for clip in range(firsts[video], firsts[video] + sizes[video])]
            for lane in self._deal(sizes, rng)
        ]
        # Lane by lane to another rank: fewer videos than lanes still keep all ranks busy.
        return [self._batch(streams[rank :: self.world_size]) for rank in range(self.world_size)]

    def _deal(self, sizes: np.ndarray, rng: np.random.Generator) -> list[list[int]]:
        """The videos of every lane of all ranks, in the order in which it streams them."""
        keys = sizes * rng.uniform(1 - JITTER, 1 + JITTER, len(sizes)) if self.shuffle else sizes
        lanes: list[list[int]] = [[] for _ in range(self.lanes * self.world_size)]
        loads = [(0, lane) for lane in range(len(lanes))]
        for video in np.argsort(-keys, kind='stable').tolist():
            load, lane = heapq.heappop(loads)
            lanes[lane].append(video)
            heapq.heappush(loads, (load + int(sizes[video]), lane))
        if self.shuffle:
            for videos in lanes:
                rng.shuffle(videos)
        return lanes

    def _batch(self, streams: list[list[int]]) -> list[Batch]:
        return [
            [
                ClipRequest(stream[step], lane, self.epoch)
                for lane, stream in enumerate(streams)
                if step < len(stream)
            ]
            for step in range(max(map(len, streams)))
        ]
