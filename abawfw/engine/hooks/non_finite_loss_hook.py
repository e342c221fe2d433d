"""A loss that is no number ends the run before it can be saved."""

from __future__ import annotations

import math

from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.errors import TrainingError
from abawfw.registry import HOOKS


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stop at the first loss or gradient that is NaN or infinite, naming the clips of its batch.

    Gradients count where they are clipped, but for fp16, whose loss scale is found by letting them overflow.
    """

    priority = 'VERY_HIGH'

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Look at the loss of this update."""
        loss = outputs['loss'].item()
        norms = [] if runner.optim_wrapper.scaler else runner.optim_wrapper.gradient_norms
        if math.isfinite(loss) and all(math.isfinite(norm) for norm in norms):
            return
        what = f'loss is {loss}' if not math.isfinite(loss) else 'the gradient is not finite'
        clips = ', '.join(f'{s.video_id} from frame {s.start}' for s in data_batch['data_samples'])
        raise TrainingError(
            f'{what} in epoch {runner.epoch + 1}, batch {batch_idx + 1}; its clips: {clips}. Nothing was '
            f'saved since the last checkpoint in {runner.work_dir}. Look at these videos with '
            f'tools/check_data.py; if they are correct, lower lr or use --amp bf16 instead of fp16'
        )
