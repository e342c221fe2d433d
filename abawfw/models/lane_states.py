"""State that stateful contexts carry from clip to clip, one per lane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from abawfw.errors import CheckpointError, ConfigError, TrainingError
from abawfw.structures import VABatch
from abawfw.structures.va_batch import stack_padded

State = tuple[Tensor, ...]


class Lane(NamedTuple):
    """Where a lane stands: the video, the frame that comes next, and its row of the states of a batch."""

    video_id: str
    position: int
    states: Sequence[State]
    row: int


class LaneStates:
    """The states of all lanes.

    A state is a tuple of tensors whose first axis is the row of the batch. Rows may differ in the length of
    their second axis; they are padded with zeros where they stand together in a batch.
    """

    def __init__(self) -> None:
        self._lanes: dict[int, Lane] = {}

    def clear(self) -> None:
        """Forget all lanes."""
        self._lanes.clear()

    def gather(self, contexts: Sequence[Any], batch: VABatch) -> list[State]:
        """Batch the states before these clips, one per context; the start of a video gets the initial one.

        Raises:
            ConfigError: two clips of the batch share a lane.
            TrainingError: a clip does not continue what its lane saw last.
        """
        self._check(batch)
        device = batch.starts.device
        fresh = [context.initial_state(len(batch), device) for context in contexts]
        lanes = [self._lanes.get(lane) for lane in batch.lane]
        anew = [starts or not n for starts, n in zip(batch.starts_video, batch.num_frames, strict=True)]
        if all(anew):
            return fresh
        first = lanes[0]
        if first is not None and all(
            lane is not None and lane.states is first.states and lane.row == i for i, lane in enumerate(lanes)
        ):  # the rows of the batch before, which need not be taken apart
            carried = [tuple(t[: len(batch)].to(device) for t in state) for state in first.states]
            if not any(anew):
                return carried
            if all(batch.num_frames):
                return [
                    tuple(_where(batch.starts, x, y) for x, y in zip(new, old, strict=True))
                    for new, old in zip(fresh, carried, strict=True)
                ]
        rows = [
            [tuple(t[i] for t in state) for state in fresh]
            if begins or lane is None
            else [tuple(t[lane.row].to(device) for t in state) for state in lane.states]
            for i, (lane, begins) in enumerate(zip(lanes, anew, strict=True))
        ]
        return [
            tuple(_stacked(column) for column in zip(*(row[c] for row in rows), strict=True))
            for c in range(len(contexts))
        ]

    def scatter(self, batch: VABatch, states: Sequence[State]) -> None:
        """Keep the states after these clips, cut off from the graph. A filler leaves its lane as it is."""
        kept = [tuple(t.detach() for t in state) for state in states]
        for row, n in enumerate(batch.num_frames):
            if n:
                lane = Lane(batch.video_id[row], batch.start[row] + n, kept, row)
                self._lanes[batch.lane[row]] = lane

    def export(self) -> dict[str, Tensor]:
        """All lanes as a flat dict of tensors on the CPU, for a checkpoint."""
        flat = {}
        for number, lane in self._lanes.items():
            flat[f'{number}.video_id'] = torch.tensor(list(lane.video_id.encode()), dtype=torch.uint8)
            flat[f'{number}.position'] = torch.tensor(lane.position)
            for c, state in enumerate(lane.states):
                for k, tensor in enumerate(state):
                    flat[f'{number}.state.{c}.{k}'] = tensor[lane.row].cpu().clone()
        return flat

    def restore(self, flat: dict[str, Tensor]) -> None:
        """Take over what :meth:`export` gave.

        Raises:
            CheckpointError: these are not the states of lanes.
        """
        lanes = {}
        try:
            for number in {key.split('.')[0] for key in flat}:
                cells: dict[int, dict[int, Tensor]] = {}
                for key, tensor in flat.items():
                    parts = key.split('.')
                    if parts[0] == number and parts[1] == 'state':
                        cells.setdefault(int(parts[2]), {})[int(parts[3])] = tensor
                states = [tuple(cells[c][k][None] for k in sorted(cells[c])) for c in sorted(cells)]
                name = bytes(flat[f'{number}.video_id'].tolist()).decode()
                lanes[int(number)] = Lane(name, int(flat[f'{number}.position']), states, 0)
        except (KeyError, IndexError, ValueError) as error:
            raise CheckpointError(f'the lane states of the checkpoint are damaged: {error!r}') from error
        self._lanes = lanes

    def _check(self, batch: VABatch) -> None:
        taken: dict[int, str] = {}
        for row, number in enumerate(batch.lane):
            if not batch.num_frames[row]:
                continue
            video, start = batch.video_id[row], batch.start[row]
            if number in taken:
                raise ConfigError(
                    f'lane {number} has two clips in one batch (videos {taken[number]} and {video}), but '
                    'this model carries state: use LaneBatchSampler'
                )
            taken[number] = video
            if batch.starts_video[row]:
                continue
            lane = self._lanes.get(number)
            if lane is None or (lane.video_id, lane.position) != (video, start):
                stands = f'is at frame {lane.position} of {lane.video_id}' if lane else 'has seen nothing yet'
                raise TrainingError(
                    f'a clip of video {video} starts at frame {start} in lane {number}, which {stands}: this '
                    'model carries state, so clips must follow one another without gap or overlap (clips '
                    'Segments, sampler LaneBatchSampler, lane states restored on resume)'
                )


def _stacked(rows: Sequence[Tensor]) -> Tensor:
    return stack_padded(rows, 0) if rows[0].ndim else torch.stack(list(rows))


def _where(starts: Tensor, fresh: Tensor, carried: Tensor) -> Tensor:
    """The fresh rows where a video starts, the carried ones elsewhere; both (batch, ...)."""
    if fresh.shape != carried.shape:  # states that grow
        missing = carried.shape[1] - fresh.shape[1]
        fresh = torch.cat([fresh, fresh.new_zeros(len(fresh), missing, *fresh.shape[2:])], dim=1)
    return torch.where(starts.view(-1, *[1] * (carried.ndim - 1)), fresh, carried)
