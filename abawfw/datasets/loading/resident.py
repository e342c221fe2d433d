"""Data that are read once and stay in memory, on the device where they are needed."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple
from weakref import WeakSet

import numpy as np
import torch
from mmengine.device import get_device
from torch import Tensor

from abawfw.datasets.clip_dataset import Clip, ClipDataset
from abawfw.datasets.clip_request import ClipRequest
from abawfw.devices import free_memory
from abawfw.errors import ConfigError, counted, megabytes
from abawfw.registry import LOADINGS
from abawfw.structures import VABatch
from abawfw.structures.va_batch import places

CPU = torch.device('cpu')
PER_CLIP = 1024
"""Bytes of a clip besides its frames: its place and its names, as Python keeps them."""
LABELS = ('gt_va', 'teacher_va')
MASKS = (*LABELS, 'valid', 'observed')

Key = tuple[str, str]
"""Which table: ('inputs', feature), or ('record', one of MASKS)."""


class NotResidentError(ConfigError):
    """Why the data of a partition cannot stay in memory."""


class _Known(NamedTuple):
    """What a batch says of a clip, see ``VABatch``."""

    video_id: str
    start: int
    num_frames: int
    video_length: int
    starts_video: bool


@LOADINGS.register_module()
class Resident:
    """Read every clip once, before the first batch, and keep it where the model computes.

    Of each feature one table of frames, in the type that the pipeline gives (float16 and bytes stay), on the
    device of this process; labels and masks on the host. A batch is gathered by index. Overlapping clips of a
    video share their frames where all such clips are alike in them, bit for bit; otherwise each has its own.
    Batches are bit for bit those of ``Stream``. Refused where a clip is another one in every epoch.

    Of several processes each holds what it may need: all clips of the partition where they are shuffled, and
    those of its own batches in evaluation.

    Args:
        dataset: a ``ClipDataset``.
        sampler: of the batches.
        num_workers: not needed: none are started.
        within: fraction of the free memory that all resident data of this process may take.

    Attributes:
        bytes: that the data take, by device.
        fact: how data are loaded, for the log.

    Raises:
        NotResidentError: the data do not fit, or a transform draws for every clip.
    """

    def __init__(self, dataset: Any, sampler: Any, num_workers: int, within: float = 1.0) -> None:
        self.dataset, self.sampler, self.within = dataset, sampler, within
        if not isinstance(dataset, ClipDataset):
            name = type(dataset).__name__
            raise self._refusal(f'{name} is no ClipDataset, whose clips are the same in every epoch')
        self.device = torch.device(get_device())
        if sampler.shuffle:
            self.wanted = list(range(len(dataset.clips)))
        else:
            self.wanted = sorted({request.clip for batch in sampler for request in batch})
        self.overlaps = _overlaps([dataset.clips[index] for index in self.wanted])
        self.own: set[Key] = set()
        self.tables: dict[Key, Tensor] | None = None
        longest = max(self.wanted, key=lambda c: dataset.clips[c].stop - dataset.clips[c].start, default=None)
        # what a table is like: type and size of a frame, without any
        self.like = {} if longest is None else {k: x[:0].clone() for k, x in self._clip(longest)[0].items()}
        self.bytes = self._take_memory()
        taken, most = self.bytes[self.device], _limit(self.device, within, self)
        self.fact = (
            f'resident in {_where(self.device)}, {megabytes(taken)}; limit {megabytes(most)}, '
            f'{within:.0%} of what is free'
        )
        if num_workers:
            self.fact += f'; {counted(num_workers, "worker")} not needed'

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The sampler's batches, as ``Stream`` gives them."""
        self.load()
        return map(self._batch, iter(self.sampler))

    def load(self) -> None:
        """Read the clips, unless they have been.

        Raises:
            NotResidentError: as the constructor, where only a look at every clip shows it.
        """
        while self.tables is None:
            differing = self._fill()
            if differing is not None:
                self.own.add(differing)
                self.bytes = self._take_memory()

    def _refusal(self, text: str) -> NotResidentError:
        asked = self.within == 1  # and not tried by Auto
        return NotResidentError(f"{text}: set loading=dict(type='Auto'), or 'Stream'" if asked else text)

    def _take_memory(self) -> dict[torch.device, int]:
        """What the tables take, by device; refused where that is too much."""
        taken = {CPU: PER_CLIP * len(self.wanted)}
        for key, x in self.like.items():
            home = self._home(key)
            taken[home] = taken.get(home, 0) + self._rows(key) * math.prod(x.shape[1:]) * x.element_size()
        taken.setdefault(self.device, 0)
        for device, count in taken.items():
            most = _limit(device, self.within, self)
            if count > most:
                raise self._refusal(
                    f'the data take {megabytes(count)} of {_where(device)}, and the limit is '
                    f'{megabytes(most)}, {self.within:.0%} of what is free'
                )
        _HELD.add(self)
        return taken

    def _rows(self, key: Key) -> int:
        """Rows of a table; the first is padding."""
        frames = sum(clip.stop - clip.start for clip in map(self.dataset.clips.__getitem__, self.wanted))
        return 1 + frames - (0 if key in self.own else sum(self.overlaps))

    def _home(self, key: Key) -> torch.device:
        return self.device if key[0] == 'inputs' else CPU

    def _clip(self, index: int) -> tuple[dict[Key, Tensor], Any]:
        """The tensors of a clip by table, (time, ...), and its data sample."""
        self.dataset.drew = None
        item = self.dataset[ClipRequest(index)]
        if self.dataset.drew is not None:
            raise self._refusal(f"{self.dataset.drew} draws for each clip (results['rng']) in every epoch")
        sample = item['data_sample']
        parts: dict[Key, Tensor] = {('inputs', name): x for name, x in item['inputs'].items()}
        record = {('record', name): getattr(sample, name) for name in MASKS}
        return parts | {key: x for key, x in record.items() if x is not None}, sample

    def _fill(self) -> Key | None:
        """Read the clips; or else, say in which table clips overlap without being alike there."""
        dims = {key: (self._rows(key), *x.shape[1:]) for key, x in self.like.items()}
        tables = {k: torch.empty(dims[k], dtype=x.dtype, device=self._home(k)) for k, x in self.like.items()}
        for key, table in tables.items():
            table[0] = _padding(key)
        count = len(self.dataset.clips)
        starts = {key: np.zeros(count, np.int64) for key in tables}
        frames, lengths, known = np.zeros(count, np.int64), np.zeros(count, np.int64), {}
        ends, before = dict.fromkeys(tables, 1), dict[Key, Tensor]()
        for index, overlap in zip(self.wanted, self.overlaps, strict=True):
            clip = self.dataset.clips[index]
            parts, sample = self._clip(index)
            frames[index], lengths[index] = there, length = clip.stop - clip.start, len(sample.valid)
            for key, whole in parts.items():
                self._check(key, whole, there, length)
                values, shared = whole[:there], 0 if key in self.own else overlap
                if shared and not _same(values[:shared], before[key][-shared:]):
                    return key
                before[key] = values
                starts[key][index] = ends[key] - shared
                tables[key][ends[key] : ends[key] + there - shared] = values[shared:]
                ends[key] += there - shared
            known[index] = _Known(*(getattr(sample, name) for name in _Known._fields))
        self.frames, self.lengths, self.known = frames, lengths, known
        # tables whose clips lie alike are gathered by one index
        self.alike: dict[bytes, tuple[np.ndarray, list[Key]]] = {}
        for key, places_of in starts.items():
            self.alike.setdefault(places_of.tobytes(), (places_of, []))[1].append(key)
        self.tables = tables
        return None

    def _check(self, key: Key, whole: Tensor, there: int, length: int) -> None:
        like = self.like.get(key)
        if like is None or (whole.dtype, whole.shape[1:]) != (like.dtype, like.shape[1:]):
            raise self._refusal(f'{key[1]} is not of one type and size in all clips')
        if not there <= len(whole) == length:
            raise self._refusal(f'the pipeline changes the number of frames: {len(whole)} of {there}')
        if length > there and not _same(whole[there:], torch.full_like(whole[there:], _padding(key))):
            raise self._refusal(f'{key[1]} of a clip goes on behind its last frame')

    def _batch(self, requests: Sequence[ClipRequest]) -> dict[str, Any]:
        """What ``collate_clips`` makes of these clips."""
        assert self.tables is not None
        clips = [request.clip for request in requests]
        length = int(self.lengths[clips].max())
        frames = self.frames[clips] * [not request.filler for request in requests]
        time, whole = np.arange(length), bool((frames == length).all())
        found: dict[str, dict[str, Any]] = {'inputs': {}, 'record': {}}
        for starts, keys in self.alike.values():
            rows = starts[clips][:, None] + time
            if not whole:
                rows[time >= frames[:, None]] = 0
            index = {CPU: torch.from_numpy(rows.ravel())}
            if self.device != CPU:
                index[self.device] = index[CPU].pin_memory().to(self.device, non_blocking=True)
            for key in keys:
                table = self.tables[key]
                x = table.index_select(0, index[self._home(key)])
                found[key[0]][key[1]] = x.view(len(clips), length, *table.shape[1:])
        known = [
            self.known[clip]._replace(num_frames=0, starts_video=False) if filler else self.known[clip]
            for clip, _, _, filler in requests
        ]
        lists: dict[str, Any] = dict(zip(_Known._fields, map(list, zip(*known, strict=True)), strict=True))
        return {
            'inputs': {name: found['inputs'][name] for kind, name in self.tables if kind == 'inputs'},
            'data_samples': VABatch(
                **lists,
                **found['record'],
                lane=[request.lane for request in requests],
                starts=torch.tensor(lists['starts_video']),
                observed_at=places(found['record']['observed']),
            ),
        }


_HELD: WeakSet[Resident] = WeakSet()
"""All of this process: together they must keep within the limit."""


def _limit(device: torch.device, within: float, mine: Resident) -> int:
    """Bytes that the data of one more may take on a device.

    Where the system does not say how much is free, nothing may.
    """
    free = free_memory(device) or 0
    if device == CPU:
        free //= int(os.environ.get('LOCAL_WORLD_SIZE', '1'))  # processes of this run here, of torchrun
    others = [held for held in _HELD if held is not mine]
    free += sum(held.bytes.get(device, 0) for held in others if held.tables is not None)
    return max(int(within * free) - sum(held.bytes.get(device, 0) for held in others), 0)


def _overlaps(clips: Sequence[Clip]) -> list[int]:
    """How many of its first frames each clip shares with the clip before it."""
    found = [0]
    for before, clip in pairwise(clips):
        follows = before.video == clip.video and before.start <= clip.start <= before.stop <= clip.stop
        found.append(before.stop - clip.start if follows else 0)
    return found[: len(clips)]


def _padding(key: Key) -> float:
    """What stands behind the last frame of a clip in a batch."""
    return math.nan if key[1] in LABELS and key[0] == 'record' else 0


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of one type and shape have the same bits."""
    return one.numpy().tobytes() == other.numpy().tobytes()


def _where(device: torch.device) -> str:
    return 'host memory' if device == CPU else 'GPU memory'
