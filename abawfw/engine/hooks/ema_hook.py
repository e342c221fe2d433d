"""An average of the weights over the steps of training, in place of the last ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from abawfw.components import Count, Probability
from abawfw.engine.hooks.gradual_release_hook import GradualReleaseHook
from abawfw.engine.hooks.reload_best_hook import ReloadBestHook
from abawfw.engine.training_state import Resumable, bare_model
from abawfw.errors import CheckpointError, ConfigError, counted
from abawfw.registry import HOOKS


@HOOKS.register_module()
class EMAHook(Resumable, Hook):
    """Validate, and keep as best, a moving average of the weights; training goes on with its own.

    An exponential one:
    average <- decay * average + (1 - decay) * weights, for all parameters, without correction for its
    beginning; running statistics are those of training (team RAS, arXiv:2603.13056). ``best_*.pth``, and so
    tests, inference and export, hold the average; ``epoch_*.pth`` hold the weights of training, and the
    average beside them.

    Args:
        decay: fraction of the average that a step keeps, at least 0 and below 1.
        every: steps of training from one update of the average to the next.
        start: first epoch, counted from 1, whose steps count; the average begins as a copy of the weights
            after the first of them.

    Raises:
        ConfigError: another decay: with 1 the average would stay what it was at its beginning.
    """

    position = ('average',)
    priority = 'HIGH'

    def __init__(self, decay: Probability, every: Count = 1, start: Count = 1) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(
                f'EMAHook(decay={decay}): at least 0 and below 1; with 1 the average would never change'
            )
        self.decay, self.every, self.start = decay, every, start
        self.average: list[Tensor] = []
        self._trained: list[Tensor] = []

    def check_run(self, hooks: Sequence[Any], epochs: int) -> None:
        """Look at the hooks of a run, and at its length.

        Raises:
            ConfigError: another hook reloads the best weights, to which no average belongs, or there are two;
                or the run ends before the average begins.
        """
        if self.start > epochs:
            raise ConfigError(
                f'EMAHook(start={self.start}): training ends after {counted(epochs, "epoch")}, before the '
                'average begins: lower start, or raise epochs'
            )
        for hook in hooks:
            if isinstance(hook, (ReloadBestHook, GradualReleaseHook)):
                raise ConfigError(
                    f'EMAHook and {type(hook).__name__}: the second continues from the best weights, which '
                    'would be an average; use one of them'
                )
        if sum(isinstance(hook, EMAHook) for hook in hooks) > 1:
            raise ConfigError(
                'EMAHook stands twice among the hooks, and one would average the other: keep one'
            )

    def before_train(self, runner: Runner) -> None:
        """Compare a resumed average with the model.

        Raises:
            CheckpointError: the average is that of another model.
        """
        own = list(bare_model(runner).parameters())
        if self.average and [x.shape for x in self.average] != [p.shape for p in own]:
            raise CheckpointError(
                'EMAHook: the average in the checkpoint is of another model: use its own config, or another '
                'checkpoint'
            )
        self.average = [x.to(p) for x, p in zip(self.average, own, strict=False)]

    @torch.no_grad()
    def after_iter(self, runner: Runner) -> None:
        """Add the weights after this step to the average."""
        if runner.epoch + 1 < self.start or runner.iter % self.every:
            return
        own = [p.detach() for p in bare_model(runner).parameters()]
        if self.average:
            torch._foreach_lerp_(self.average, own, 1 - self.decay)
        else:
            self.average = [p.clone() for p in own]

    def after_train_epoch(self, runner: Runner) -> None:
        """Put the average in place of the weights."""
        if self.average:
            own = list(bare_model(runner).parameters())
            self._trained = [p.detach().clone() for p in own]
            _put(own, self.average)

    def between_epochs(self, runner: Runner) -> None:
        """Put the weights of training back."""
        if self._trained:
            _put(list(bare_model(runner).parameters()), self._trained)
            self._trained = []

    def after_train(self, runner: Runner) -> None:
        """Say that there is no average, where training was too short for one."""
        if not self.average:
            runner.logger.warning(
                f'EMAHook(every={self.every}, start={self.start}): training ended after {runner.iter} steps, '
                'before the average began; the best weights are those of training itself'
            )


@torch.no_grad()
def _put(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    torch._foreach_copy_(list(parameters), list(values))
