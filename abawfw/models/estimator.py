"""The estimator: five slots, each a registered component, and the step from tensors to losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from mmengine.model import BaseModel, initialize
from torch import Tensor, nn

from abawfw.components import build, building
from abawfw.conventions import TARGETS
from abawfw.errors import ConfigError
from abawfw.models.lane_states import LaneStates, State
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
    takes_lengths,
)
from abawfw.registry import BACKBONES, CONTEXTS, ENCODERS, FUSIONS, HEADS, MODELS
from abawfw.structures import VABatch
from abawfw.structures.va_batch import Frames


@MODELS.register_module()
class VAEstimator(BaseModel):
    """Valence and arousal per frame: backbones -> encoders -> fusion -> context -> head.

    Each slot gets the vector length of the slot before it, so a config states no input size.

    Args:
        input_dims: dims of each modality as the dataset gives them, in the order of concatenation; an int
            is a vector, a tuple needs a backbone.
        head: config of the head.
        backbones: ``{modality: config}``, for modalities that are no vectors yet.
        encoders: ``{modality: config}``, temporal models of one modality. What they give counts as observed
            throughout a clip in which the modality was, or where their ``observed_after(observed)`` says.
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
        self.target_columns = slice(TARGETS.index(self.targets[0]), TARGETS.index(self.targets[-1]) + 1)
        # Evaluation in mid-epoch must not disturb the videos that are being trained on.
        self._lanes = {True: LaneStates(), False: LaneStates()}
        # what computes :meth:`step` in its place, in training and in evaluation, if it is compiled
        self.compiled: dict[bool, Callable[..., Any]] = {}

    def forward(
        self, inputs: dict[str, Tensor], data_samples: VABatch | None = None, mode: str = 'tensor'
    ) -> Any:
        """Run over a batch of clips.

        Args:
            inputs: ``{modality: (batch, time, *dims)}``; optional ones may be absent.
            data_samples: where the clips come from, their labels and masks; without it (``tensor`` only)
                every frame is valid and observed, and every clip starts a video.
            mode: ``loss``, ``predict`` or ``tensor``.

        Returns:
            ``loss``: dict of losses, and ``pred_va`` of the batch is set; ``predict``: a list, as MMEngine
            wants one, of a copy of the batch that has ``pred_va``; ``tensor``: the head's output.
        """
        first = next(iter(inputs.values()))
        if data_samples is None:
            if mode != 'tensor':
                raise ValueError(f'mode {mode!r} needs data samples')
            valid = torch.ones(first.shape[:2], dtype=torch.bool, device=first.device)
            seen = valid.unsqueeze(-1).expand(-1, -1, len(inputs))
            frames = Frames(valid, seen, [first.shape[1]] * len(first), [None] * len(inputs))
            return self.step(
                inputs, frames, [c.initial_state(len(first), first.device) for c in self.stateful]
            )[0]
        batch = data_samples.to(first.device)
        stateful, lanes = self.stateful, self._lanes[self.training]
        before = lanes.gather(stateful, batch) if stateful else []
        compiled = None if mode == 'tensor' else self.compiled.get(self.training)
        labels = (batch.gt_va, batch.teacher_va if self.has_teacher else None) if mode == 'loss' else ()
        output, after, losses = (compiled or self.step)(inputs, batch.frames, before, *labels)
        if stateful:
            lanes.scatter(batch, after)
        if mode == 'tensor':
            return output
        if mode == 'predict':  # others may predict the same batch before this one's predictions are read
            return [replace(batch, pred_va=output.va.detach())]
        data_samples.pred_va = output.va.detach()
        return losses

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of the losses, and all values by name with it; MMEngine's also takes their means."""
        values = {name: x.mean() if x.ndim else x for name, x in losses.items()}
        first, *others = (x for name, x in values.items() if 'loss' in name)
        total = sum(others, first)
        return total, {'loss': total, **values}

    def step(
        self,
        inputs: dict[str, Tensor],
        frames: Frames,
        before: Sequence[State],
        gt_va: Tensor | None = None,
        teacher_va: Tensor | None = None,
    ) -> tuple[Any, list[State], dict[str, Tensor]]:
        """The function from tensors to predictions, states and losses: nothing is read back from the device.

        Args:
            inputs: as in :meth:`forward`.
            frames: which of them exist and were observed.
            before: state of each stateful context before the clips, in order.
            gt_va: labels, (batch, time, 2), NaN where there is none; None for no losses.
            teacher_va: predictions of a teacher, as labels; None without one.

        Returns:
            The head's output, the states after the clips, and the losses.
        """
        x, after = self.extract(inputs, frames, before)
        output, losses = self.finish(x, frames, gt_va, teacher_va)
        return output, after, losses

    def extract(
        self, inputs: dict[str, Tensor], frames: Frames, before: Sequence[State]
    ) -> tuple[Tensor, list[State]]:
        """Everything before the head.

        Args:
            inputs: as in :meth:`forward`.
            frames: which of them exist and were observed.
            before: state of each stateful context before the clips, in order.

        Returns:
            (batch, time, dim), and the states after the clips.
        """
        sequences, observed = to_vectors(
            inputs, frames, self.input_dims, dict(self.backbones.items()), self.optional
        )
        return self.through(self.context, self.fuse(sequences, observed, frames.valid), frames, before)

    def fuse(self, sequences: dict[str, Tensor], observed: dict[str, Tensor], valid: Tensor) -> Tensor:
        """Encoders and fusion, of what ``to_vectors`` gives: (batch, time, dim)."""
        sequences, observed = dict(sequences), dict(observed)
        for name, encoder in self.encoders.items():
            seen = observed[name]
            sequences[name] = encoder(sequences[name], seen)
            # its output for a missed frame depends on the frames around it, unless it says where it has one
            after: Any = getattr(encoder, 'observed_after', None)
            given = seen.any(dim=1, keepdim=True) if after is None else after(seen)
            observed[name] = valid & given  # padding stays out
        return self.fusion(sequences, observed)

    def through(
        self, contexts: Iterable[Any], x: Tensor, frames: Frames, before: Sequence[State]
    ) -> tuple[Tensor, list[State]]:
        """Some of the contexts, one after the other, and the states of the stateful ones among them."""
        after: list[State] = []
        for context in contexts:
            asked = frames.lengths is not None and takes_lengths(context)
            known = {'lengths': frames.lengths} if asked else {}
            if is_stateful(context):
                x, state = context(x, frames.valid, before[len(after)], **known)
                after.append(state)
            else:
                x = context(x, frames.valid, **known)
        return x, after

    def finish(
        self, x: Tensor, frames: Frames, gt_va: Tensor | None, teacher_va: Tensor | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """The head's output, and its losses if there are labels."""
        # The head is a small part of the work, and a CCC of values rounded to 8 bits would be another number.
        with torch.autocast(x.device.type, enabled=False):
            # nothing is to be learnt from a frame of which nothing was seen
            known = frames.valid & frames.observed.any(dim=-1)
            output = self.head(x.float(), known)
            if gt_va is None:
                return output, {}
            given = [gt_va[..., self.target_columns], known]
            if teacher_va is not None:
                given.append(teacher_va[..., self.target_columns])
            return output, self.head.loss(output, *given)

    @property
    def has_teacher(self) -> bool:
        """Whether the losses need a teacher's predictions; a head of the user's may not say so."""
        return getattr(self.head, 'has_teacher', False)

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
