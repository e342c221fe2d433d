"""Schedules that want to know more than that an epoch is over."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import ParamSchedulerHook as MMEngineHook
from mmengine.runner import Runner

from abawfw.engine.monitor import check_monitor, monitored_score
from abawfw.engine.schedulers import WarmupPlateauLR
from abawfw.engine.training_state import bare_model
from abawfw.errors import ConfigError
from abawfw.registry import HOOKS


@HOOKS.register_module()
class ParamSchedulerHook(MMEngineHook):
    """Step the schedules: MMEngine's as its hook of this name does, and those that want to know more.

    ``WarmupPlateauLR`` and ``CosineRestartsLR`` get their position before each batch; the former between two
    epochs also the score of the last.
    """

    priority = 'LOW'

    def before_train(self, runner: Runner) -> None:
        """Check what these schedules need, as far as the check of a config may not have built them."""
        for schedule in _plateaus(runner):
            check_monitor(bare_model(runner).targets, 'WarmupPlateauLR', schedule.monitor)
        for schedule in _of_batches(runner):
            if len(runner.param_schedulers) > 1:
                raise ConfigError(
                    f'{type(schedule).__name__} sets the rate of every batch: it must be the only one in '
                    'param_scheduler'
                )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Set the rate of this batch."""
        for schedule in _of_batches(runner):
            schedule.before_batch(batch_idx, len(runner.train_dataloader.batch_sampler))

    def between_epochs(self, runner: Runner) -> None:
        """Tell the score of the epoch."""
        for schedule in _plateaus(runner):
            schedule.after_validation(monitored_score(runner, schedule.monitor))

    def after_release(self, runner: Runner) -> None:
        """Warm up again for the parts that are trained from now on."""
        for schedule in _plateaus(runner):
            schedule.restart()


def _of_batches(runner: Runner) -> list[Any]:
    return [s for s in runner.param_schedulers or [] if hasattr(s, 'before_batch')]


def _plateaus(runner: Runner) -> list[WarmupPlateauLR]:
    return [s for s in runner.param_schedulers or [] if isinstance(s, WarmupPlateauLR)]
