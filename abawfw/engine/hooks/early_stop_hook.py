"""Stop when validation no longer improves."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.components import Count, WholeNumber
from abawfw.engine.monitor import monitored_score
from abawfw.engine.training_state import Resumable
from abawfw.registry import HOOKS


@HOOKS.register_module()
class EarlyStopHook(Resumable, Hook):
    """Stop after some epochs without a strictly better score.

    Its state is part of the training state, so a resumed run stops where the uninterrupted one does
    (MMEngine's hook forgets it, counts an equal score as progress, and asks for .1 more: B6). When parts of
    the model are released (``GradualReleaseHook``), counting starts again; the best score stays.

    Args:
        patience: epochs without improvement after which training ends.
        monitor: the validation score to watch: 'ccc', 'ccc_valence' or 'ccc_arousal'.
        start: epochs at the beginning, and after each release, that are not counted: those of a warm-up.
    """

    position = ('best', 'epochs', 'waited')

    def __init__(self, patience: Count, monitor: str = 'ccc', start: WholeNumber = 0) -> None:
        self.patience, self.monitor, self.start = patience, monitor, start
        self.best = -float('inf')
        self.epochs = self.waited = 0

    def before_train(self, runner: Runner) -> None:
        """Stop at once if the resumed run had stopped."""
        runner.train_loop.stop_training |= self.waited >= self.patience

    def between_epochs(self, runner: Runner) -> None:
        """Count epochs without improvement."""
        score = monitored_score(runner, self.monitor)
        self.epochs += 1
        if score > self.best:
            self.best, self.waited = score, 0
        elif self.epochs > self.start:
            self.waited += 1
        if self.waited >= self.patience:
            runner.logger.info(
                f'no better {self.monitor} than {self.best:.4f} for {self.patience} epochs: stopping'
            )
            runner.train_loop.stop_training = True

    def after_release(self, runner: Runner) -> None:
        """Start counting again."""
        self.epochs = self.waited = 0
