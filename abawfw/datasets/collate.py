"""From clips to a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from abawfw.structures import VADataSample


class SampleList(list[VADataSample]):
    """Data samples of a batch, on their way from a worker process by value.

    Tensors that leave a worker one by one cost an open file each, and a batch of many short clips would
    exceed the limit of open files. So labels and masks travel as three arrays, and arrive as a plain list.
    """

    def __reduce__(self) -> tuple[Callable, tuple]:
        gt_va = torch.stack([sample.gt_va for sample in self]).numpy()
        valid = torch.stack([sample.valid for sample in self]).numpy()
        observed = torch.stack([sample.observed for sample in self]).numpy()
        return _unpack, ([sample.metainfo for sample in self], gt_va, valid, observed)


def collate_clips(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Pad clips to the longest of the batch.

    Args:
        items: clips of ``ClipDataset``: inputs {feature: (time, *dims)} and data_sample.

    Returns:
        inputs {feature: (batch, time, *dims)}, zero where padded, and data_samples, a list whose gt_va is NaN
        and whose valid and observed are False where padded. The data samples are those of ``items``, their
        labels and masks made longer.
    """
    samples = SampleList(item['data_sample'] for item in items)
    lengths = {len(sample.valid) for sample in samples}
    if len(lengths) == 1:
        stacked = {f: torch.stack([item['inputs'][f] for item in items]) for f in items[0]['inputs']}
        return {'inputs': stacked, 'data_samples': samples}
    length = max(lengths)
    inputs = {
        feature: _pad([item['inputs'][feature] for item in items], length, 0)
        for feature in items[0]['inputs']
    }
    labels = _pad([sample.gt_va for sample in samples], length, math.nan)
    valid = _pad([sample.valid for sample in samples], length, False)
    observed = _pad([sample.observed for sample in samples], length, False)
    for row, sample in enumerate(samples):
        sample.gt_va = labels[row]
        sample.valid = valid[row]
        sample.observed = observed[row]
    return {'inputs': inputs, 'data_samples': samples}


def _pad(clips: list[Tensor], length: int, value: float) -> Tensor:
    """(batch, length, *dims), each clip written once, ``value`` behind it."""
    batch = clips[0].new_empty((len(clips), length, *clips[0].shape[1:]))
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
        row[len(clip) :] = value
    return batch


def _unpack(metainfos: list[dict[str, Any]], *arrays: Any) -> list[VADataSample]:
    samples = []
    for metainfo, *tensors in zip(metainfos, *map(torch.from_numpy, arrays), strict=True):
        sample = VADataSample(metainfo=metainfo)
        sample.gt_va, sample.valid, sample.observed = tensors
        samples.append(sample)
    return samples
