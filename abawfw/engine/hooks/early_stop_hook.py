"""Stop when validation no longer improves."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.engine.training_state import bare_model
from abawfw.errors import ConfigError
from abawfw.registry import HOOKS


@HOOKS.register_module()
class EarlyStopHook(Hook):
    """Stop after some epochs without a strictly better score.

    Its state is part of the training state, so a resumed run stops where the uninterrupted one does
    (MMEngine's hook forgets it, counts an equal score as progress, and asks for .1 more: B6).

    Args:
        patience: epochs without improvement after which training ends.
        monitor: the validation score to watch: 'ccc', 'ccc_valence' or 'ccc_arousal'.
    """

    def __init__(self, patience: int, monitor: str = 'ccc') -> None:
        self.patience, self.monitor = patience, monitor
        self.best, self.waited = -float('inf'), 0

    def before_train(self, runner: Runner) -> None:
        """Check the name of the score before time is spent; stop at once if the resumed run had stopped."""
        known = ['ccc', *(f'ccc_{t}' for t in bare_model(runner).targets)]
        if self.monitor not in known:
            raise ConfigError(
                f'EarlyStopHook.monitor {self.monitor!r} is not validated; choose from {", ".join(known)}'
            )
        runner.train_loop.stop_training |= self.waited >= self.patience

    def after_epoch(self, runner: Runner) -> None:
        """Count epochs without improvement."""
        score = float(runner.train_loop.record[f'val_{self.monitor}'])
        self.best, self.waited = (score, 0) if score > self.best else (self.best, self.waited + 1)
        if self.waited >= self.patience:
            runner.logger.info(
                f'no better {self.monitor} than {self.best:.4f} for {self.patience} epochs: stopping'
            )
            runner.train_loop.stop_training = True

    def state_dict(self) -> dict[str, Any]:
        """Best score and epochs waited."""
        return {'best': self.best, 'waited': self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue counting from here."""
        self.best, self.waited = state['best'], state['waited']
