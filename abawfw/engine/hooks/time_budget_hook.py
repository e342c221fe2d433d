"""Training that ends when its time is used up."""

from __future__ import annotations

from mmengine.dist import broadcast_object_list
from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.components import Positive
from abawfw.engine.hooks.epoch_log_hook import EpochLogHook
from abawfw.errors import ConfigError
from abawfw.registry import HOOKS


@HOOKS.register_module()
class TimeBudgetHook(Hook):
    """End training after the epoch in which its seconds are used up.

    They are those of training and validation, ``seconds`` in summary.json, over all parts of a resumed run.
    The number of epochs stays the most that are trained, and what rates and schedules refer to: up to its end
    a run is the same whatever its budget, but a rate that falls towards the last epoch may still be high.

    Args:
        seconds: the budget.
    """

    def __init__(self, seconds: Positive) -> None:
        self.seconds = seconds
        self.used_up = False

    def before_train(self, runner: Runner) -> None:
        """Stop at once if the resumed run has used them up.

        Raises:
            ConfigError: nothing counts the seconds.
        """
        if not any(isinstance(hook, EpochLogHook) for hook in runner.hooks):
            raise ConfigError("TimeBudgetHook needs default_hooks.log=dict(type='EpochLogHook')")
        runner.logger.info(f'trains until the epoch in which {self.seconds:,g} s are used up')
        self._look(runner)

    def between_epochs(self, runner: Runner) -> None:
        """Stop if they are used up."""
        self._look(runner)

    def _look(self, runner: Runner) -> None:
        spent = [sum(hook.seconds for hook in runner.hooks if isinstance(hook, EpochLogHook))]
        broadcast_object_list(spent)  # clocks of ranks differ, and all of them must stop together
        self.used_up = spent[0] >= self.seconds
        if self.used_up and runner.epoch < runner.max_epochs:
            runner.logger.info(
                f'{spent[0]:,.1f} s of {self.seconds:,g} s are used up after epoch {runner.epoch} of '
                f'{runner.max_epochs}: stopping'
            )
            runner.train_loop.stop_training = True
