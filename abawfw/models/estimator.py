"""State that stateful contexts carry from clip to clip, one per lane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmengine.model import BaseModel, initialize
from torch import Tensor, nn

from abawfw.components import build, building
from abawfw.errors import CheckpointError, ConfigError, TrainingError
from abawfw.models.modalities import to_vectors
from abawfw.models.parts import (
    build_per_modality,
    find_part,
    hold_still,
    is_foreign,
    is_stateful,
    let_learn,
    load_part,
    out_dim,
)
from abawfw.registry import BACKBONES, CONTEXTS, ENCODERS, FUSIONS, HEADS, MODELS
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


TARGETS = ('valence', 'arousal')


@MODELS.register_module()
class VAEstimator(BaseModel):
    """Valence and arousal per frame: backbones -> encoders -> fusion -> context -> head.

    Each slot gets the vector length of the slot before it, so a config states no input size.

    Args:
        input_dims: dims of each modality as the dataset gives them, in the order of concatenation; an int
            is a vector, a tuple needs a backbone.
        head: config of the head.
        backbones: ``{modality: config}``, for modalities that are no vectors yet.
        encoders: ``{modality: config}``, temporal models of one modality.
        fusion: config of the fusion.
        context: configs of the temporal models after fusion, in order.
        targets: what is estimated, some of ``valence`` and ``arousal``.
        optional: modalities that may be absent from the inputs: then nothing of them is observed.
        frozen: names of parts that are not trained, such as ``context.0``; they stay in evaluation mode.
            Parts within them can be released later.
        pretrained: ``{part: checkpoint file}``: parts that start training from the part of the same name in a
            checkpoint of this framework.
        init_cfg: how initial weights are drawn, in MMEngine's form; None leaves them to each layer, as torch
            draws them. RUCAIM3 has ``dict(type='Normal', layer='Linear', std=0.02)``.
        data_preprocessor: config; by default it moves batches to the device.

    Raises:
        ConfigError: a slot names a modality, a part or a target that does not exist.
    """

    def __init__(
        self,
        input_dims: dict[str, int | tuple[int, ...]],
        head: dict,
        backbones: dict[str, dict] | None = None,
        encoders: dict[str, dict] | None = None,
        fusion: dict | None = None,
        context: Sequence[dict] = (),
        targets: Sequence[str] = TARGETS,
        optional: Sequence[str] = (),
        frozen: Sequence[str] = (),
        pretrained: dict[str, str] | None = None,
        init_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
    ) -> None:
        preprocessor = MODELS.build(data_preprocessor or {'type': 'abawfw.VADataPreprocessor'})
        super().__init__(data_preprocessor=preprocessor, init_cfg=init_cfg)
        self.targets = tuple(targets)
        if self.targets not in (TARGETS, TARGETS[:1], TARGETS[1:]):
            raise ConfigError(f'targets must be valence, arousal or both in this order, not {self.targets}')
        self.input_dims = dict(input_dims)
        self.optional = frozenset(optional)
        dims: dict[str, Any] = dict(input_dims)
        self.backbones = build_per_modality(BACKBONES, 'backbones', backbones, dims)
        for name, dim in dims.items():
            if not isinstance(dim, int):
                raise ConfigError(f'modality {name} has frames of shape {tuple(dim)}: it needs a backbone')
        self.encoders = build_per_modality(ENCODERS, 'encoders', encoders, dims)
        self.fusion = build(FUSIONS, fusion or {'type': 'ConcatFusion'}, 'model.fusion', in_dims=dims)
        dim = out_dim(self.fusion, 'model.fusion', None)
        self.context = nn.ModuleList()
        for i, cfg in enumerate(context):
            place = f'model.context[{i}]'
            self.context.append(build(CONTEXTS, cfg, place, in_dim=dim))
            dim = out_dim(self.context[-1], place, dim)
        self.head = build(HEADS, head, 'model.head', in_dim=dim, targets=self.targets)
        self.pretrained = dict(pretrained or {})
        self.frozen = tuple(frozen)
        self.released: tuple[str, ...] = ()
        for name in self.pretrained:
            find_part(self, name)
        for name in self.frozen:
            find_part(self, name).requires_grad_(False)
        # where the targets stand among the label's two columns
        self.target_columns = [TARGETS.index(t) for t in self.targets]
        # Evaluation in mid-epoch must not disturb the videos that are being trained on.
        self._lanes = {True: LaneStates(), False: LaneStates()}

    def forward(
        self, inputs: dict[str, Tensor], data_samples: list[VADataSample] | None = None, mode: str = 'tensor'
    ) -> Any:
        """Run over a batch of clips.

        Args:
            inputs: ``{modality: (batch, time, *dims)}``; optional ones may be absent.
            data_samples: one per clip; without them (``tensor`` only) every frame is valid and observed, and
                every clip starts a video.
            mode: ``loss``, ``predict`` or ``tensor``.

        Returns:
            ``loss``: dict of losses; ``predict``: the data samples; ``tensor``: the head's output. The first
            two set ``pred_va`` of each sample: float32 (num_frames, targets), detached, on the CPU after
            ``predict`` and on the model's device after ``loss``.
        """
        first = next(iter(inputs.values()))
        if data_samples is None:
            valid = torch.ones(first.shape[:2], dtype=torch.bool, device=first.device)
            seen = valid.unsqueeze(-1).expand(-1, -1, len(inputs))
        else:
            valid = torch.stack([s.valid for s in data_samples]).to(first.device, non_blocking=True)
            seen = torch.stack([s.observed for s in data_samples]).to(first.device, non_blocking=True)
        stateful, lanes = self.stateful, self._lanes[self.training]
        if data_samples is None:
            before = [c.initial_state(len(first), first.device) for c in stateful]
        else:
            before = lanes.gather(stateful, data_samples, first.device) if stateful else []
        x, after = self.extract(inputs, seen, valid, before)
        if data_samples is not None and stateful:
            lanes.scatter(data_samples, after)
        # The head is a small part of the work, and a CCC of values rounded to 8 bits would be another number.
        with torch.autocast(first.device.type, enabled=False):
            # nothing is to be learnt from a frame of which nothing was seen
            known = valid & seen.any(dim=-1)
            output = self.head(x.float(), known)
            if mode == 'tensor':
                return output
            if data_samples is None:
                raise ValueError(f'mode {mode!r} needs data samples')
            va = output.va.detach()
            if mode == 'predict':
                va = va.cpu()
            for row, sample in zip(va, data_samples, strict=True):
                sample.pred_va = row[: sample.num_frames]
            if mode == 'predict':
                return data_samples
            gt = torch.stack([s.gt_va for s in data_samples]).to(first.device, non_blocking=True)
            return self.head.loss(output, gt[..., self.target_columns], known)

    def extract(
        self, inputs: dict[str, Tensor], seen: Tensor, valid: Tensor, before: Sequence[State]
    ) -> tuple[Tensor, list[State]]:
        """Everything before the head.

        Args:
            inputs: as in :meth:`forward`.
            seen: (batch, time, modalities of ``inputs``) bool, where each was observed.
            valid: (batch, time) bool, False for padding.
            before: state of each stateful context before the clip, in order.

        Returns:
            (batch, time, dim), and the states after the clip.
        """
        sequences, observed = to_vectors(
            inputs, seen, self.input_dims, dict(self.backbones.items()), self.optional
        )
        for name, encoder in self.encoders.items():
            sequences[name] = encoder(sequences[name], observed[name])
            # its output for a missed frame depends on the frames around it; padding stays out
            observed[name] = valid & observed[name].any(dim=1, keepdim=True)
        x = self.fusion(sequences, observed)
        after: list[State] = []
        for context in self.context:
            if is_stateful(context):
                x, state = context(x, valid, before[len(after)])
                after.append(state)
            else:
                x = context(x, valid)
        return x, after

    @property
    def stateful(self) -> list[Any]:
        """The contexts that carry state from clip to clip, in order."""
        return [c for c in self.context if is_stateful(c)]

    def train(self, mode: bool = True) -> VAEstimator:
        """Switch between training and evaluation; frozen parts stay as in evaluation."""
        super().train(mode)
        for name in self.frozen:
            hold_still(find_part(self, name), mode)
        for name in self.released:
            let_learn(find_part(self, name), mode)
        return self

    def release(self, names: Sequence[str]) -> None:
        """Train these parts from now on, though they lie within frozen ones.

        Raises:
            ConfigError: there is no such part.
        """
        for name in names:
            let_learn(find_part(self, name).requires_grad_(True), self.training)
        self.released = tuple(dict.fromkeys([*self.released, *names]))

    def init_weights(self) -> None:
        """Draw weights as ``init_cfg`` and parts with an own way say, then load what ``pretrained`` names.

        Called before training, not before testing. Shipped parts are initialised when they are built.

        Raises:
            CheckpointError: a file cannot be read or does not hold the part.
        """
        if self.init_cfg:
            with building('model.init_cfg'):
                initialize(self, self.init_cfg)
        for part in (
            *self.backbones.values(),
            *self.encoders.values(),
            self.fusion,
            *self.context,
            self.head,
        ):
            if hasattr(part, 'init_weights'):
                part.init_weights()
        for name, checkpoint in self.pretrained.items():
            load_part(self, name, checkpoint)

    @property
    def skips_parameters(self) -> bool:
        """Whether a step may leave parameters out, which distributed training then has to search for.

        So does a backbone of whose frames none was observed, and maybe a part of the user's that does not say
        ``skips_parameters = False``.
        """
        parts = [*self.encoders.values(), self.fusion, *self.context, self.head]
        skipping = any(getattr(part, 'skips_parameters', is_foreign(part)) for part in parts)
        return skipping or any(p.requires_grad for p in self.backbones.parameters())

    def subnetworks(self) -> dict[str, nn.Module]:
        """The parts whose gradients are clipped apart, by name: those that have parameters, frozen or not."""
        named = {f'backbones.{k}': v for k, v in self.backbones.items()}
        named |= {f'encoders.{k}': v for k, v in self.encoders.items()}
        named['fusion'] = self.fusion
        named |= {f'context.{i}': v for i, v in enumerate(self.context)}
        named['head'] = self.head
        return {k: v for k, v in named.items() if any(True for _ in v.parameters())}

    def lane_state(self) -> dict[str, Tensor]:
        """The states of the training lanes, for a checkpoint written in mid-epoch."""
        return self._lanes[True].export()

    def load_lane_state(self, state: dict[str, Tensor]) -> None:
        """Continue the training lanes where :meth:`lane_state` was taken.

        Raises:
            CheckpointError: these are not the states of lanes.
        """
        self._lanes[True].restore(state)

    def reset_lanes(self) -> None:
        """Forget what was carried from clip to clip, in training and in evaluation."""
        for lanes in self._lanes.values():
            lanes.clear()
