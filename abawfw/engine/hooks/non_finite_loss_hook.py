"""A loss that is no number ends the run before it can be saved."""

from __future__ import annotations

import math

from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.errors import TrainingError
from abawfw.registry import HOOKS


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stop at the first loss that is NaN or infinite, naming the clips of its batch."""

    priority = 'VERY_HIGH'

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        """Look at the loss of this update."""
        loss = outputs['loss'].item()
        if math.isfinite(loss):
            return
        clips = ', '.join(f'{s.video_id} from frame {s.start}' for s in data_batch['data_samples'])
        raise TrainingError(
            f'loss is {loss} in epoch {runner.epoch + 1}, batch {batch_idx + 1}; its clips: {clips}. Nothing was '
            f'saved since the last checkpoint in {runner.work_dir}. Look at these videos with tools/check_data.py; '
            f'if they are sound, lower optim_wrapper.optimizer.lr or use --amp bf16 instead of fp16'
        )
