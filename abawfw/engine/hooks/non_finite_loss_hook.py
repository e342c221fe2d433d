"""A loss that is no number ends the run before it can be saved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from abawfw.engine.loops.va_train_loop import read_scalars
from abawfw.errors import TrainingError
from abawfw.registry import HOOKS


class _Step(NamedTuple):
    """An update: its batch, the clips of it, and its loss and gradient norms, on the device."""

    batch: int
    videos: Sequence[str]
    starts: Sequence[int]
    values: list[Tensor]


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stop at the first loss or gradient that is NaN or infinite, naming the clips of its batch.

    Losses stay on the device until the loop reads (``VATrainLoop.read_every``), which it does before anything
    is saved. Gradients count too, but for fp16, whose loss scale is found by letting them overflow.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.unread: list[_Step] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Keep the loss of this update, and which clips it is of."""
        batch = data_batch['data_samples']
        norms = [] if runner.optim_wrapper.scaler else runner.optim_wrapper.gradient_norms
        self.unread.append(_Step(batch_idx, batch.video_id, batch.start, [outputs['loss'].detach(), *norms]))

    def read(self, runner: Runner) -> None:
        """Look at the updates since the last reading."""
        unread, self.unread = self.unread, []
        values = iter(read_scalars([value for step in unread for value in step.values]))
        for step in unread:
            loss, *norms = (next(values) for _ in step.values)
            if math.isfinite(loss) and all(map(math.isfinite, norms)):
                continue
            what = f'loss is {loss}' if not math.isfinite(loss) else 'the gradient is not finite'
            clips = ', '.join(f'{v} from frame {s}' for v, s in zip(step.videos, step.starts, strict=True))
            raise TrainingError(
                f'{what} in epoch {runner.epoch + 1}, batch {step.batch + 1}; its clips: {clips}. Nothing '
                f'was saved since the last checkpoint in {runner.work_dir}. Look at these videos with '
                f'tools/check_data.py; if they are correct, lower lr or use --amp bf16 instead of fp16'
            )
