"""From a config to batches."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import DataLoader

from abawfw.components import build
from abawfw.datasets.collate import collate_clips
from abawfw.errors import ConfigError
from abawfw.registry import DATASETS, SAMPLERS


def build_dataloader(cfg: dict[str, Any], seed: int, rank: int = 0, world_size: int = 1) -> DataLoader:
    """Dataset, sampler and worker processes of one partition.

    Batches are those of the loader's ``batch_sampler``: call its ``set_epoch`` before each pass. They are the
    same whatever the number of workers, and making an iterator leaves the global random numbers alone.

    Args:
        cfg: ``dataset`` and ``sampler``, configs of registered components, and ``num_workers`` (0: none).
        seed: seed of the order and of random transforms.
        rank: index of this process.
        world_size: number of processes.

    Returns:
        DataLoader of batches as ``collate_clips`` makes them.

    Raises:
        ConfigError: ``cfg`` has other keys, or lacks one.
    """
    keys = {'dataset', 'sampler', 'num_workers'}
    if wrong := sorted(set(cfg) ^ keys):
        raise ConfigError(
            f'dataloader: unknown or missing: {", ".join(wrong)}; it takes {", ".join(sorted(keys))}'
        )
    dataset = build(DATASETS, cfg['dataset'], 'dataset')
    dataset.seed = seed
    sampler = build(
        SAMPLERS, cfg['sampler'], 'sampler', dataset=dataset, seed=seed, rank=rank, world_size=world_size
    )
    workers = cfg['num_workers']
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=collate_clips,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=workers > 0 and torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(seed),
    )
