"""From a config to batches on the device of this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.device import get_device

from abawfw.components import build
from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.loading.stream import collate_clips
from abawfw.datasets.transforms.batch_transform import BatchTransform, Generators
from abawfw.errors import ConfigError
from abawfw.registry import DATASETS, LOADINGS, SAMPLERS

KEYS = ('dataset', 'sampler', 'num_workers', 'loading')


class BatchLoader:
    """Batches of one partition, on the device of this process, with the transforms that act on batches.

    Those draw from generators that depend on (seed, epoch, index of the batch, rank) alone.

    Args:
        dataset: of the clips.
        sampler: of the batches.
        loading: policy that gives them, collated.
        seed: of the run.
        rank: of this process.

    Attributes:
        dataset: of the clips.
        batch_sampler: call its ``set_epoch`` before each pass.
        loading: policy.
    """

    def __init__(self, dataset: Any, sampler: Any, loading: Any, seed: int, rank: int) -> None:
        self.dataset, self.batch_sampler, self.loading = dataset, sampler, loading
        self.seed, self.rank = seed, rank
        self.transforms: Sequence[BatchTransform] = getattr(dataset, 'on_batch', ())

    def __len__(self) -> int:
        """Batches of the sampler's epoch on this rank."""
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The batches of the sampler's epoch, from where it starts."""
        # Not a generator: that would look at the epoch only when the first batch is asked for.
        return self._ready(iter(self.loading), self.batch_sampler.epoch, self.batch_sampler.start_batch)

    def _ready(self, batches: Iterator[dict[str, Any]], epoch: int, first: int) -> Iterator[dict[str, Any]]:
        device = torch.device(get_device())
        if device.type == 'cuda':
            device = torch.device('cuda', torch.cuda.current_device())  # generators are of one GPU
        generators = Generators.on(device)
        for index, batch in enumerate(batches, first):
            if self.transforms:
                generators.set_to(self.seed, epoch, index, self.rank)
            yield transformed(batch, self.transforms, device, generators)


def transformed(
    batch: dict[str, Any],
    transforms: Sequence[BatchTransform],
    device: torch.device | str,
    generators: Generators,
) -> dict[str, Any]:
    """A collated batch on the device, after the transforms that act on batches."""
    inputs, clips = batch['inputs'], batch['data_samples']
    for transform in transforms:
        transform.hide(clips, list(inputs), generators.host)
    if torch.device(device).type == 'cuda':
        clips = clips.pin_memory()  # what is pinned already stays as it is
    inputs = {name: x.to(device, non_blocking=True) for name, x in inputs.items()}
    clips = clips.to(device, non_blocking=True)
    for transform in transforms:
        transform(inputs, clips, generators.device)
    return {'inputs': inputs, 'data_samples': clips}


def one_clip(dataset: Any, request: ClipRequest) -> dict[str, Any]:
    """A batch of a clip alone, on the CPU, as the whole pipeline makes it; what is drawn depends on the clip.

    Raises:
        ConfigError: the pipeline ends without ``PackVA``.
    """
    item = dataset[request]
    for name in ('inputs', 'data_sample'):
        if not isinstance(item, dict) or name not in item:
            raise ConfigError(
                f"the pipeline gives no '{name}': its last transform must be PackVA, or do as it does"
            )
    generators = Generators.on('cpu')
    generators.set_to(getattr(dataset, 'seed', 0), request.epoch, request.clip, 0)
    return transformed(collate_clips([item]), getattr(dataset, 'on_batch', ()), 'cpu', generators)


def build_dataloader(cfg: dict[str, Any], seed: int, rank: int = 0, world_size: int = 1) -> BatchLoader:
    """Dataset, sampler and loading policy of one partition.

    Batches are those of the loader's ``batch_sampler``: call its ``set_epoch`` before each pass. They are the
    same whatever the policy and the number of workers.

    Args:
        cfg: ``dataset`` and ``sampler``, configs of registered components, ``num_workers`` (0: none) and, if
            it is not to be ``Auto``, ``loading``, config of a registered policy.
        seed: seed of the order and of random transforms.
        rank: index of this process.
        world_size: number of processes.

    Returns:
        Loader of batches as ``collate_clips`` makes them, on the device of this process.

    Raises:
        ConfigError: ``cfg`` has other keys, or lacks one; or what is to be resident cannot be.
    """
    wrong = sorted(cfg.keys() - KEYS | set(KEYS[:-1]) - cfg.keys())
    if wrong:
        raise ConfigError(f'dataloader: unknown or missing: {", ".join(wrong)}; it takes {", ".join(KEYS)}')
    dataset = build(DATASETS, cfg['dataset'], 'dataset')
    dataset.seed = seed
    sampler = build(
        SAMPLERS, cfg['sampler'], 'sampler', dataset=dataset, seed=seed, rank=rank, world_size=world_size
    )
    given = {'dataset': dataset, 'sampler': sampler, 'num_workers': cfg['num_workers'], 'seed': seed}
    loading = build(LOADINGS, cfg.get('loading', {'type': 'Auto'}), '', **given)
    return BatchLoader(dataset, sampler, loading, seed, rank)
