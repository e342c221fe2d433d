"""From a config to batches, and what worker processes need for them."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from torch.utils.data import DataLoader, get_worker_info

from abawfw.components import build
from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.transforms.batch_transform import BatchTransform, Generators
from abawfw.errors import ConfigError, DataError
from abawfw.registry import DATASETS, SAMPLERS
from abawfw.structures import VABatch
from abawfw.structures.va_batch import stack_padded

PREFETCH = 2
"""Batches that each worker makes in advance, torch's own number."""

SHARED = Path('/dev/shm')
"""Where Linux keeps the memory that processes share."""

WAY_OUT = (
    'give more (docker run --shm-size=2g, or --ipc=host), or use --cfg-options '
    'train_dataloader.num_workers=0 val_dataloader.num_workers=0, or smaller batches'
)


class BatchLoader:
    """Batches of one partition, on the device of this process, with the transforms that act on batches.

    Those draw from generators that depend on (seed, epoch, index of the batch, rank) alone.

    Args:
        batches: what clips come from, collated, on the host.
        seed: of the run.
        rank: of this process.

    Attributes:
        dataset: of the clips.
        batch_sampler: call its ``set_epoch`` before each pass.
        num_workers: processes that read.
    """

    def __init__(self, batches: DataLoader, seed: int, rank: int) -> None:
        self.batches, self.seed, self.rank = batches, seed, rank
        self.dataset: Any = batches.dataset
        self.batch_sampler: Any = batches.batch_sampler
        self.num_workers = batches.num_workers
        self.transforms: Sequence[BatchTransform] = getattr(self.dataset, 'on_batch', ())

    def __len__(self) -> int:
        """Batches of the sampler's epoch on this rank."""
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The batches of the sampler's epoch, from where it starts."""
        # Not a generator: that would look at the epoch only when the first batch is asked for.
        return self._ready(iter(self.batches), self.batch_sampler.epoch, self.batch_sampler.start_batch)

    def _ready(self, batches: Iterator[dict[str, Any]], epoch: int, first: int) -> Iterator[dict[str, Any]]:
        device = torch.device(get_device())
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
    """Dataset, sampler and worker processes of one partition.

    Batches are those of the loader's ``batch_sampler``: call its ``set_epoch`` before each pass. They are the
    same whatever the number of workers, and making an iterator leaves the global random numbers alone.

    Args:
        cfg: ``dataset`` and ``sampler``, configs of registered components, and ``num_workers`` (0: none).
        seed: seed of the order and of random transforms.
        rank: index of this process.
        world_size: number of processes.

    Returns:
        Loader of batches as ``collate_clips`` makes them, on the device of this process.

    Raises:
        ConfigError: ``cfg`` has other keys, or lacks one; or the machine has too little shared memory for the
            batches that the workers hold.
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
    loader = DataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=_collate_in_worker if workers else collate_clips,
        num_workers=workers,
        prefetch_factor=PREFETCH if workers else None,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(seed),
    )
    if workers and hasattr(dataset, 'clips'):
        _check_shared_memory(loader)
    return BatchLoader(loader, seed, rank)


def worker_death(error: RuntimeError) -> str | None:
    """What an error of torch's says of a worker process that was killed, such as by a bus error, in one line.

    torch raises it from a signal handler, anywhere in the main process. None for any other error.
    """
    found = re.match(r'DataLoader worker \(pid(?:\(s\))? [\d, ]+\) (.*)', str(error))
    if found is None:
        return None
    why = found[1].partition('. ')[0].rstrip('. ')
    return f'a worker process of the data loader {why}; most often memory is full ({_free_text()}): {WAY_OUT}'


def batch_bytes(loader: DataLoader) -> int:
    """Bytes of inputs in the largest batch of a loader's first epoch, as one of its longest clips says."""
    sampler: Any = loader.batch_sampler
    dataset: Any = loader.dataset
    sampler.set_epoch(0)
    lengths = [clip.stop - clip.start for clip in dataset.clips]
    frames, longest = 0, None
    for batch in sampler:
        width = max(lengths[request.clip] for request in batch)
        frames = max(frames, width * len(batch))
        if longest is None or width > lengths[longest.clip]:
            longest = max(batch, key=lambda request: lengths[request.clip])
    if longest is None:
        return 0
    clip = collate_clips([dataset[longest]])
    each = sum(tensor.nbytes for tensor in clip['inputs'].values())
    return each * frames // lengths[longest.clip]


def _check_shared_memory(loader: DataLoader) -> None:
    """Refuse what would end in a bus error of a worker, or wait for ever.

    Raises:
        ConfigError: names what is needed, what there is and what to set.
    """
    free = _free()
    if free is None:
        return
    held = loader.num_workers * PREFETCH + 1  # one is being used
    held *= int(os.environ.get('LOCAL_WORLD_SIZE', '1'))  # processes of this run on this machine, of torchrun
    each = batch_bytes(loader)
    if each * held > free:
        raise ConfigError(
            f'{SHARED}, the memory that processes share, has {_megabytes(free)} free, but '
            f'{loader.num_workers} workers hold up to {held} batches of {_megabytes(each)} in it, '
            f'{_megabytes(each * held)}: {WAY_OUT}'
        )


def _free() -> int | None:
    """Bytes of shared memory that can be had; None where the system keeps it elsewhere."""
    try:
        found = os.statvfs(SHARED)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def _free_text() -> str:
    free = _free()
    return 'shared memory' if free is None else f'{SHARED} has {_megabytes(free)} free'


def _megabytes(count: int) -> str:
    return f'{count / 2**20:,.1f} MB'


def _collate_in_worker(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """``collate_clips``, with the batch put into shared memory here, where a failure can be reported.

    Otherwise a thread of torch's does it later; where it fails, that prints a traceback and loses the batch,
    and the run waits for ever.

    Raises:
        DataError: shared memory is full.
    """
    batch = collate_clips(items)
    if get_worker_info() is None:
        return batch
    try:
        for tensor in (*batch['inputs'].values(), *batch['data_samples'].tensors):
            tensor.share_memory_()
    except (RuntimeError, OSError) as error:
        raise DataError(
            f'a worker process of the data loader cannot put a batch into shared memory '
            f'({_reason(error)}; {_free_text()}); {WAY_OUT}'
        ) from error
    return batch


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    number = re.search(r'\((\d+)\)\s*$', str(error).splitlines()[0])
    known = number is not None and int(number[1]) in errno.errorcode
    return os.strerror(int(number[1])) if number is not None and known else str(error).splitlines()[0]


def collate_clips(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Stack clips, padded to the longest of the batch.

    Args:
        items: clips of ``ClipDataset``: inputs {feature: (time, *dims)} and data_sample.

    Returns:
        inputs {feature: (batch, time, *dims)}, zero where padded, and data_samples, a ``VABatch``.
    """
    inputs = {f: stack_padded([item['inputs'][f] for item in items], 0) for f in items[0]['inputs']}
    return {'inputs': inputs, 'data_samples': VABatch.of([item['data_sample'] for item in items])}
