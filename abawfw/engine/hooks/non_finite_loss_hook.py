"""A loss that is no number ends the run before it can be saved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmengine.dist import all_gather_object, all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from abawfw.engine.loops.va_train_loop import read_scalars
from abawfw.errors import TrainingError
from abawfw.registry import HOOKS

LEAST_SCALE = 1
"""Of the loss in fp16. Gradients that overflow without any scaling are not finite; some two hundred such
updates later the scale would be 0, and the next one would make all weights NaN."""


class _Step(NamedTuple):
    """An update: its batch, the clips of it, and its loss and gradient norms, on the device."""

    batch: int
    videos: Sequence[str]
    starts: Sequence[int]
    loss: Tensor
    norms: Sequence[Tensor]


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stop at the first loss or gradient that is NaN or infinite, naming the clips of its batch.

    Losses stay on the device until the loop reads (``VATrainLoop.read_every``), which it does before anything
    is saved. Gradients count too; those of fp16, whose loss scale is found by letting them overflow, when the
    scale has fallen below ``LEAST_SCALE``. All ranks stop together: a gradient is the mean over them, and the
    clips are those of the ranks whose loss is at fault.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.unread: list[_Step] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Keep the loss of this update, and which clips it is of."""
        batch, norms = data_batch['data_samples'], runner.optim_wrapper.gradient_norms
        self.unread.append(_Step(batch_idx, batch.video_id, batch.start, outputs['loss'].detach(), norms))

    def read(self, runner: Runner) -> None:
        """Look at the updates since the last reading."""
        unread, self.unread = self.unread, []
        scaler = runner.optim_wrapper.scaler
        may_overflow = scaler is not None and scaler.get_scale() >= LEAST_SCALE
        values = iter(read_scalars([value for step in unread for value in (step.loss, *step.norms)]))
        losses, wrong = list[float](), list[int]()
        for index, step in enumerate(unread):
            losses.append(next(values))
            norms = [next(values) for _ in step.norms]
            if not (math.isfinite(losses[-1]) and (may_overflow or all(map(math.isfinite, norms)))):
                wrong.append(index)
        first = min(wrong, default=len(unread))
        if get_world_size() > 1:
            of_ranks = torch.tensor(first)
            all_reduce(of_ranks, 'min')  # they have made as many updates
            first = int(of_ranks)
        if first < len(unread):
            self._stop(runner, unread[first], losses[first])

    def _stop(self, runner: Runner, step: _Step, loss: float) -> None:
        clips = [f'{v} from frame {s}' for v, s in zip(step.videos, step.starts, strict=True)]
        ranks = all_gather_object((loss, clips))
        at_fault = [(loss, clips) for loss, clips in ranks if not math.isfinite(loss)]
        fp16 = runner.optim_wrapper.scaler is not None
        what = f'loss is {at_fault[0][0]}' if at_fault else 'the gradient is not finite'
        if fp16 and not at_fault:
            what += f' however small the loss is scaled (below {LEAST_SCALE})'
        named = ', '.join(clip for _, clips in at_fault or ranks for clip in clips)
        raise TrainingError(
            f'{what} in epoch {runner.epoch + 1}, batch {step.batch + 1}; its clips: {named}. Nothing '
            f'was saved since the last checkpoint in {runner.work_dir}. Look at these videos with '
            f'tools/check_data.py; if they are correct, lower lr'
            + (' or use --amp bf16 instead of fp16' if fp16 else '')
        )
