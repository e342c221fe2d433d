"""What travels with the inputs of a batch through the whole house."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor


@dataclass
class VAClip:
    """One clip of a video and its labels, before it stands in a batch.

    Attributes:
        video_id: the video the clip is cut from.
        start: index of the clip's first frame in the video.
        num_frames: frames of the clip that exist; 0 for a filler that only keeps ranks in step.
        video_length: frames of the whole video.
        lane: which stream of a lane batch the clip belongs to (0 outside lane batches).
        starts_video: True if carried state must be reset before this clip.
        gt_va: labels, (time, 2), float32, columns valence and arousal, NaN where there is none.
        valid: (time,) bool, True where the frame exists, False for padding behind the frames.
        observed: (time, modalities) bool, columns in the order of the inputs: False where there is nothing to
            see of a modality, such as a missing face, and for padding.
        teacher_va: predictions of a teacher, (time, 2) as labels; None without one.
    """

    video_id: str
    start: int
    num_frames: int
    video_length: int
    lane: int
    starts_video: bool
    gt_va: Tensor
    valid: Tensor
    observed: Tensor
    teacher_va: Tensor | None = None


class Frames(NamedTuple):
    """Which frames of a batch exist and were observed: on the device, and as far as it is known on the host.

    What the host knows needs not be read back from a device, which would wait for all that it still computes.

    Attributes:
        valid: (batch, time) bool, False for padding behind the frames.
        observed: (batch, time, modalities) bool, columns in the order of the inputs.
        lengths: frames of each clip that exist; None if the host does not know.
        observed_at: per modality the places, in (batch * time), of the frames in which it was observed, and
            None where these are all; None as a whole if the host does not know.
    """

    valid: Tensor
    observed: Tensor
    lengths: Sequence[int] | None = None
    observed_at: Sequence[Tensor | None] | None = None


@dataclass
class VABatch:
    """The clips of a batch: where they come from, as plain lists, and their labels and masks, as tensors.

    Made once, when a batch is collated, and moved once, with its inputs.

    Attributes:
        video_id: of each clip, as ``start``, ``num_frames``, ``video_length``, ``lane`` and ``starts_video``;
            see `VAClip`.
        gt_va: labels, (batch, time, 2), float32, NaN where there is none.
        valid: (batch, time) bool, True where the frame exists.
        observed: (batch, time, modalities) bool, columns in the order of the inputs.
        starts: (batch,) bool, ``starts_video`` as a tensor.
        observed_at: places of observed frames, see `Frames`.
        teacher_va: predictions of a teacher, (batch, time, 2) as labels; None without one.
        pred_va: predictions, (batch, time, number of targets), float32, detached, without meaning for
            padding, on the model's device; None until the estimator has set it.
    """

    video_id: list[str]
    start: list[int]
    num_frames: list[int]
    video_length: list[int]
    lane: list[int]
    starts_video: list[bool]
    gt_va: Tensor
    valid: Tensor
    observed: Tensor
    starts: Tensor
    observed_at: list[Tensor | None]
    teacher_va: Tensor | None = None
    pred_va: Tensor | None = None

    @classmethod
    def of(cls, clips: Sequence[VAClip]) -> VABatch:
        """Stack clips, padded to the longest: without label, not valid, not observed."""
        observed = stack_padded([clip.observed for clip in clips], False)
        starts = [clip.starts_video for clip in clips]
        taught = [clip.teacher_va for clip in clips if clip.teacher_va is not None]
        return cls(
            video_id=[clip.video_id for clip in clips],
            start=[clip.start for clip in clips],
            num_frames=[clip.num_frames for clip in clips],
            video_length=[clip.video_length for clip in clips],
            lane=[clip.lane for clip in clips],
            starts_video=starts,
            gt_va=stack_padded([clip.gt_va for clip in clips], math.nan),
            valid=stack_padded([clip.valid for clip in clips], False),
            observed=observed,
            starts=torch.tensor(starts),
            observed_at=places(observed),
            teacher_va=stack_padded(taught, math.nan) if taught else None,
        )

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.video_id)

    @property
    def frames(self) -> Frames:
        """Its masks."""
        return Frames(self.valid, self.observed, self.num_frames, self.observed_at)

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors."""
        given = [self.gt_va, self.valid, self.observed, self.starts, *self.observed_at]
        given += [self.teacher_va, self.pred_va]
        return [x for x in given if x is not None]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> VABatch:
        """The same on a device; this one, if it lies there."""
        device = torch.device(device)
        if all(x.device == device for x in self.tensors):
            return self
        return self._changed(lambda x: x.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> VABatch:
        """The same in memory from which a GPU fetches by itself."""
        return self._changed(Tensor.pin_memory)

    def predictions(self) -> list[Tensor]:
        """``pred_va`` of each clip without padding, (num_frames, number of targets)."""
        assert self.pred_va is not None, 'the estimator sets predictions'
        return self.existing(self.pred_va)

    def existing(self, x: Tensor) -> list[Tensor]:
        """What x, (batch, time, ...), holds of each clip without padding, (num_frames, ...)."""
        return [row[:n] for row, n in zip(x, self.num_frames, strict=True)]

    def _changed(self, change: Callable[[Tensor], Tensor]) -> VABatch:
        changed: dict[str, Any] = {
            name: change(getattr(self, name)) for name in ('gt_va', 'valid', 'observed', 'starts')
        }
        at = [None if x is None else change(x) for x in self.observed_at]
        for name in ('teacher_va', 'pred_va'):
            value = getattr(self, name)
            changed[name] = None if value is None else change(value)
        return replace(self, **changed, observed_at=at)


def stack_padded(clips: Sequence[Tensor], value: float) -> Tensor:
    """Stack clips (time, *dims) to (batch, longest time, *dims), with ``value`` behind shorter ones."""
    length = max(map(len, clips))
    if all(len(clip) == length for clip in clips):
        return torch.stack(list(clips))
    batch = clips[0].new_empty((len(clips), length, *clips[0].shape[1:]))
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
        row[len(clip) :] = value
    return batch


def places(observed: Tensor) -> list[Tensor | None]:
    """Places, in (batch * time), of the observed frames of each modality; None where they are all.

    Args:
        observed: (batch, time, modalities) bool, on the host.
    """
    if observed.all():
        return [None] * observed.shape[-1]
    columns = observed.flatten(0, 1).unbind(-1)
    return [None if column.all() else column.nonzero()[:, 0] for column in columns]
