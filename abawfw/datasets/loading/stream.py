"""Data read as they are needed, and what worker processes need for it."""

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

from abawfw.errors import ConfigError, DataError, counted, megabytes
from abawfw.registry import LOADINGS
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


@LOADINGS.register_module()
class Stream:
    """Read every clip from the store when its batch comes, in worker processes if there are any.

    Batches are the same whatever the number of workers, and making an iterator leaves the global random
    numbers alone.

    Args:
        dataset: of the clips.
        sampler: of the batches.
        num_workers: processes that read; 0: this one reads.
        seed: of the run.

    Attributes:
        fact: how data are loaded, for the log.

    Raises:
        ConfigError: the machine has too little shared memory for the batches that the workers hold.
    """

    def __init__(self, dataset: Any, sampler: Any, num_workers: int, seed: int) -> None:
        self.loader = DataLoader(
            dataset,
            batch_sampler=sampler,
            collate_fn=_collate_in_worker if num_workers else collate_clips,
            num_workers=num_workers,
            prefetch_factor=PREFETCH if num_workers else None,
            persistent_workers=num_workers > 0,
            pin_memory=get_device() == 'cuda',
            generator=torch.Generator().manual_seed(seed),
        )
        if num_workers and hasattr(dataset, 'clips'):
            _check_shared_memory(self.loader)
        self.fact = f'streamed by {counted(num_workers, "worker")}' if num_workers else 'streamed'

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The sampler's batches as ``collate_clips`` makes them."""
        return iter(self.loader)


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
            f'{SHARED}, the memory that processes share, has {megabytes(free)} free, but '
            f'{loader.num_workers} workers hold up to {held} batches of {megabytes(each)} in it, '
            f'{megabytes(each * held)}: {WAY_OUT}'
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
    return 'shared memory' if free is None else f'{SHARED} has {megabytes(free)} free'


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
