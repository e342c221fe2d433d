"""The step of an estimator, compiled for batches of one shape."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from abawfw.datasets.clip_request import ClipRequest
from abawfw.engine.optim.va_optim_wrapper import autocast
from abawfw.models.heads import HeadOutput
from abawfw.models.lane_states import State
from abawfw.models.layers.cpu.lstm import StepsLSTM
from abawfw.models.modalities import to_vectors
from abawfw.models.parts import is_foreign, is_stateful, takes_lengths
from abawfw.structures.va_batch import Frames


def compile_steps(model: Any, mode: str, loaders: Mapping[bool, DataLoader], precision: str) -> str | None:
    """Let an estimator compute in compiled steps, or say why it cannot; then it computes as before.

    All is compiled here and tried out, the backward pass included, on frames of which none exists. Weights,
    running statistics and random numbers stay as they are.

    Args:
        model: the estimator, on its device.
        mode: of ``torch.compile``.
        loaders: of the batches to come, in training (True) and in evaluation (False), one or both.
        precision: of forward passes.

    Returns:
        None, or the first line of why not: no compiler, a GPU too old, or a part of the user's that
        ``torch.compile`` does not understand as a whole.
    """
    model.compiled.clear()
    trained = model.training
    try:
        steps = {}
        for training, loader in loaders.items():
            steps[training] = CompiledStep(model.train(training), mode, *commonest(batch_shapes(loader)))
            with autocast(precision), torch.set_grad_enabled(training), warnings.catch_warnings():
                warnings.simplefilter('ignore')  # torch warns of its own way to look at tensors
                steps[training].try_out()
    except Exception as error:  # of torch, its backend, a compiler, or a part of the user's
        return _reason(error)
    finally:
        model.train(trained)
    model.compiled |= steps
    return None


def batch_shapes(loader: DataLoader) -> Counter[tuple[int, int]]:
    """How many batches of a loader's first epoch have so many clips and, with padding, so many frames."""
    sampler: Any = loader.batch_sampler
    dataset: Any = loader.dataset
    sampler.set_epoch(0)
    lengths = [clip.stop - clip.start for clip in dataset.clips]
    shortest = dataset[ClipRequest(lengths.index(min(lengths)))]
    padded = len(shortest['data_sample'].valid)  # by a transform, if there is one that pads
    return Counter((len(batch), max(padded, *(lengths[r.clip] for r in batch))) for batch in sampler)


def commonest(shapes: Counter[tuple[int, int]]) -> tuple[int, int]:
    """The shape of most batches; of several, that with most frames."""
    return max(shapes, key=lambda shape: (shapes[shape], math.prod(shape)))


CHEAP = 3
"""Computed frames per frame of a batch up to which it is padded to the one shape: that much a compiled step
can win where a device waits for the host, and it never costs more than an ordinary batch."""


class CompiledStep:
    """Stands for ``VAEstimator.step`` in training or in evaluation.

    Smaller batches are padded to the one shape. Larger ones, those that would be mostly padding, and where it
    would change the loss, as with ``CCCLoss(over='clip')`` and maybe a loss of the user's, are computed as
    they are, and not compiled.

    The backbones, which run over the observed frames alone, and contexts that need numbers of the host
    (``compiles = False``), such as where an LSTM is to be cut, run between the compiled pieces.

    Args:
        model: the estimator, in the mode it is to be compiled in.
        mode: of ``torch.compile``.
        rows: clips of a batch.
        frames: of a clip.
    """

    def __init__(self, model: Any, mode: str, rows: int, frames: int) -> None:
        self.model, self.rows, self.frames = model, rows, frames
        self.training = model.training
        counted = is_foreign(model.head) or any(map(_counts_padding, model.head.losses.values()))
        self.pads = not (self.training and counted)
        # Ours compute the steps themselves, see `StepsLSTM`, and only their parameters are those of torch's.
        own = any(isinstance(module, StepsLSTM) for module in model.modules())
        self._parameters_of_lstms = torch._dynamo.config.patch(allow_rnn=True) if own else nullcontext()
        self.between: list[Any] = []
        self.pieces: list[list[Any]] = [[]]
        for context in model.context:
            if _compiles(context):
                self.pieces[-1].append(context)
            else:
                self.between.append(context)
                self.pieces.append([])
        options: dict[str, Any] = {
            'mode': mode,
            'dynamic': False,
            'fullgraph': True,  # what is not understood is said, and not left to the host in silence
            'isolate_recompiles': True,
        }
        last = len(self.pieces) - 1
        self._run = [
            torch.compile(self._piece(contexts, i == 0, i == last), **options)
            for i, contexts in enumerate(self.pieces)
        ]

    def __call__(
        self,
        inputs: Mapping[str, Tensor],
        frames: Frames,
        before: Sequence[State],
        gt_va: Tensor | None = None,
        teacher_va: Tensor | None = None,
    ) -> tuple[HeadOutput, list[State], dict[str, Tensor]]:
        """As ``VAEstimator.step``; of the output only the predictions, and these without a graph."""
        n, time = frames.valid.shape
        if not self.takes(n, time):
            return self.model.step(inputs, frames, before, gt_va, teacher_va)
        model = self.model
        sequences, observed = to_vectors(
            inputs, frames, model.input_dims, dict(model.backbones.items()), model.optional
        )
        lengths = None if frames.lengths is None else [*frames.lengths, *[0] * (self.rows - n)]
        padded = Frames(self._padded(frames.valid), self._padded(frames.observed), lengths)
        va, after, losses = self._through(
            {name: self._padded(x) for name, x in sequences.items()},
            {name: self._padded(x) for name, x in observed.items()},
            padded,
            [tuple(_grown(t, self.rows, dim=0) for t in state) for state in before],
            [None if x is None else self._padded(x, math.nan) for x in (gt_va, teacher_va)],
        )
        # A CUDA graph writes its next results where these are.
        kept = [tuple(t[:n].clone() for t in state) for state in after]
        return HeadOutput(va[:n, :time].clone()), kept, losses

    def takes(self, n: int, time: int) -> bool:
        """Whether a batch of so many clips and frames is computed here."""
        fits = n <= self.rows and time <= self.frames
        most = CHEAP * n * time if self.pads else n * time
        return fits and self.rows * self.frames <= most

    def coverage(self, loader: DataLoader) -> str:
        """Which of a loader's batches are computed here, for the log."""
        shapes = batch_shapes(loader)
        taken = sum(count for shape, count in shapes.items() if self.takes(*shape))
        what = 'training' if self.training else 'validation'
        return f'{taken:,} of {shapes.total():,} batches of {what}, as {self.rows} x {self.frames} frames'

    def try_out(self) -> None:
        """Compile it, with all shapes that states have."""
        model = self.model
        device = next(model.parameters()).device
        dims = {
            name: model.backbones[name].out_dim if name in model.backbones else dim
            for name, dim in model.input_dims.items()
        }
        shape = self.rows, self.frames
        nothing = torch.zeros(*shape, dtype=torch.bool, device=device)
        given = (model.training, model.training and model.has_teacher)
        labels = [torch.zeros(*shape, 2, device=device) if there else None for there in given]
        fresh = [context.initial_state(self.rows, device) for context in model.stateful]
        full = [_whole(context, state) for context, state in zip(model.stateful, fresh, strict=True)]
        buffers = [buffer.clone() for buffer in model.buffers()]
        gpus = [torch.cuda.current_device()] if device.type == 'cuda' else []
        with torch.random.fork_rng(gpus):
            for states in (fresh, full) if _shapes(fresh) != _shapes(full) else (fresh,):
                sequences = {
                    name: torch.zeros(
                        *shape, dim, device=device, requires_grad=model.training and _learns(model, name)
                    )
                    for name, dim in dims.items()
                }
                observed = {name: nothing.clone() for name in dims}  # one tensor twice is another graph
                seen = nothing.unsqueeze(-1).repeat(1, 1, len(dims))
                frames = Frames(nothing, seen, [0] * self.rows)
                losses = self._through(sequences, observed, frames, states, labels)[2]
                if losses:
                    learning = [p for p in model.parameters() if p.requires_grad]
                    torch.autograd.grad(torch.stack([*losses.values()]).sum(), learning, allow_unused=True)
        with torch.no_grad():
            for buffer, value in zip(model.buffers(), buffers, strict=True):
                buffer.copy_(value)

    def _through(
        self,
        sequences: dict[str, Tensor],
        observed: dict[str, Tensor],
        frames: Frames,
        before: list[State],
        labels: list[Tensor | None],
    ) -> tuple[Tensor, list[State], dict[str, Tensor]]:
        """Piece by piece: predictions, states after the clips, and losses; labels are also a teacher's."""
        torch.compiler.cudagraph_mark_step_begin()
        known = frames._replace(lengths=None)  # numbers of the host would be compiled in
        x: Any = sequences
        waiting, after = list(before), list[State]()
        for i, (run, contexts) in enumerate(zip(self._run, self.pieces, strict=True)):
            stateful = [context for context in contexts if is_stateful(context)]
            states = [_whole(c, s) if _begun(s := waiting.pop(0)) else s for c in stateful]
            with self._parameters_of_lstms:
                x, found, losses = run(x, observed, known, states, labels)
            after += found
            if i < len(self.between):
                x, found = self.model.through(self.between[i : i + 1], x, frames, waiting[:1])
                x, after = x.contiguous(), after + found
                del waiting[: len(found)]
        return x, after, losses

    def _piece(self, contexts: list[Any], first: bool, last: bool) -> Any:
        """Some contexts in a row, with all that stands before the first ones and behind the last ones."""
        model = self.model

        def run(
            x: Any,
            observed: dict[str, Tensor],
            frames: Frames,
            before: list[State],
            labels: list[Tensor | None],
        ) -> tuple[Tensor, list[State], dict[str, Tensor]]:
            fused = model.fuse(x, observed, frames.valid) if first else x
            fused, after = model.through(contexts, fused, frames, before)
            if not last:
                return fused, after, {}
            output, losses = model.finish(fused, frames, *labels)
            return output.va.detach(), after, losses

        return run

    def _padded(self, x: Tensor, value: float = 0.0) -> Tensor:
        """(batch, time, ...) in the one shape, and the one layout: graphs are of both."""
        return _grown(_grown(x, self.frames, dim=1, value=value), self.rows, dim=0, value=value).contiguous()


def _compiles(context: Any) -> bool:
    """Whether a context can stand in a graph; one of the user's that wants to know more is not asked to."""
    unsure = is_foreign(context) and (is_stateful(context) or takes_lengths(context))
    return bool(getattr(context, 'compiles', not unsure))


def _counts_padding(loss: Any) -> bool:
    """Whether a loss depends on how far its batch is padded; nobody knows of one of the user's."""
    return bool(getattr(loss, 'counts_padding', is_foreign(getattr(loss, 'function', loss))))


def _learns(model: Any, name: str) -> bool:
    """Whether there is a gradient for the vectors of a modality."""
    return name in model.backbones and any(p.requires_grad for p in model.backbones[name].parameters())


def _whole(context: Any, state: State) -> State:
    """A state as long as it can become: the graphs of a few shapes are enough."""
    if not hasattr(context, 'fixed_state') or not _compiles(context):
        return state
    longest = context.fixed_state(1)
    return tuple(
        _grown(t, f.shape[1], dim=1) if t.ndim > 1 else t for t, f in zip(state, longest, strict=True)
    )


def _begun(state: State) -> bool:
    """Whether a state holds anything: an empty one has a graph of its own, in which nothing is looked at."""
    return all(t.numel() for t in state)


def _shapes(states: Sequence[State]) -> list[torch.Size]:
    return [t.shape for state in states for t in state]


def _grown(x: Tensor, size: int, dim: int, value: float = 0.0) -> Tensor:
    """A tensor with ``value`` behind it along an axis."""
    missing = size - x.shape[dim]
    return F.pad(x, [*[0, 0] * (x.ndim - 1 - dim), 0, missing], value=value) if missing else x


def _reason(error: BaseException) -> str:
    """Kind and first line of what was wrong, which torch wraps up."""
    while (inner := getattr(error, 'inner_exception', None)) is not None:
        error = inner
    return f'{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}'
