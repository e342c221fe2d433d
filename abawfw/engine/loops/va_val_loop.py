"""Validation in the precision of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.runner.loops import ValLoop

from abawfw.engine.optim.va_optim_wrapper import autocast
from abawfw.registry import LOOPS


@LOOPS.register_module(name='ValLoop')
class VAValLoop(ValLoop):
    """Validate all batches, in the mixed precision that the run trains in, if it does.

    Takes the place of MMEngine's loop (0.10.7), which validates in float32 or fp16: the best epoch would not
    be the one that is best in the precision of its training.
    """

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Sequence[Any]) -> None:
        """Predict a batch and hand it to the metrics."""
        self.runner.call_hook('before_val_iter', batch_idx=idx, data_batch=data_batch)
        with autocast(self.runner.optim_wrapper.precision):
            outputs = self.runner.model.val_step(data_batch)
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        self.runner.call_hook('after_val_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs)
