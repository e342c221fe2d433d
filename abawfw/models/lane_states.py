"""State that stateful contexts carry from clip to clip, one per lane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from abawfw.errors import CheckpointError, ConfigError, TrainingError
from abawfw.structures import VADataSample

State = tuple[Tensor, ...]


class Lane(NamedTuple):
    """Where a lane stands: the video, the frame that comes next, and one state per stateful context."""

    video_id: str
    position: int
    states: tuple[State, ...]


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

    def gather(
        self, contexts: Sequence[Any], samples: Sequence[VADataSample], device: torch.device
    ) -> list[State]:
        """Batch the states before these clips, one per context; the start of a video gets the initial one.

        Raises:
            ConfigError: two clips of the batch share a lane.
            TrainingError: a clip does not continue what its lane saw last.
        """
        self._check(samples)
        batched = []
        for c, context in enumerate(contexts):
            fresh = context.initial_state(len(samples), device)
            rows = [
                tuple(t[i] for t in fresh)
                if sample.starts_video or not sample.num_frames
                else self._lanes[sample.lane].states[c]
                for i, sample in enumerate(samples)
            ]
            batched.append(
                tuple(_stack([t.to(device) for t in column]) for column in zip(*rows, strict=True))
            )
        return batched

    def scatter(self, samples: Sequence[VADataSample], states: Sequence[State]) -> None:
        """Keep the states after these clips, cut off from the graph. A filler leaves its lane as it is."""
        for i, sample in enumerate(samples):
            if sample.num_frames:
                rows = tuple(tuple(t[i].detach() for t in state) for state in states)
                self._lanes[sample.lane] = Lane(sample.video_id, sample.start + sample.num_frames, rows)

    def export(self) -> dict[str, Tensor]:
        """All lanes as a flat dict of tensors on the CPU, for a checkpoint."""
        flat = {}
        for number, lane in self._lanes.items():
            flat[f'{number}.video_id'] = torch.tensor(list(lane.video_id.encode()), dtype=torch.uint8)
            flat[f'{number}.position'] = torch.tensor(lane.position)
            for c, state in enumerate(lane.states):
                for k, tensor in enumerate(state):
                    flat[f'{number}.state.{c}.{k}'] = tensor.detach().cpu().clone()
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
                states = tuple(tuple(cells[c][k] for k in sorted(cells[c])) for c in sorted(cells))
                name = bytes(flat[f'{number}.video_id'].tolist()).decode()
                lanes[int(number)] = Lane(name, int(flat[f'{number}.position']), states)
        except (KeyError, IndexError, ValueError) as error:
            raise CheckpointError(f'the lane states of the checkpoint are damaged: {error!r}') from error
        self._lanes = lanes

    def _check(self, samples: Sequence[VADataSample]) -> None:
        taken: dict[int, VADataSample] = {}
        for sample in samples:
            if not sample.num_frames:
                continue
            other = taken.setdefault(sample.lane, sample)
            if other is not sample:
                raise ConfigError(
                    f'lane {sample.lane} has two clips in one batch (videos {other.video_id} and '
                    f'{sample.video_id}), but this model carries state: use LaneBatchSampler'
                )
            if sample.starts_video:
                continue
            lane = self._lanes.get(sample.lane)
            if lane is None or (lane.video_id, lane.position) != (sample.video_id, sample.start):
                stands = f'is at frame {lane.position} of {lane.video_id}' if lane else 'has seen nothing yet'
                raise TrainingError(
                    f'a clip of video {sample.video_id} starts at frame {sample.start} in lane '
                    f'{sample.lane}, which {stands}: this model carries state, so clips must follow one '
                    'another without gap or overlap (clips Segments, sampler LaneBatchSampler, lane states '
                    'restored on resume)'
                )


def _stack(rows: list[Tensor]) -> Tensor:
    """Stack rows; a shorter first axis is padded with zeros."""
    if rows[0].ndim == 0 or len({row.shape[0] for row in rows}) == 1:
        return torch.stack(rows)
    longest = max(row.shape[0] for row in rows)
    return torch.stack(
        [torch.cat([row, row.new_zeros(longest - row.shape[0], *row.shape[1:])]) for row in rows]
    )
