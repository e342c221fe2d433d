"""Every epoch starts from the best weights so far."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.engine.hooks.checkpoint_hook import VACheckpointHook
from abawfw.registry import HOOKS


@HOOKS.register_module()
class ReloadBestHook(Hook):
    """After each epoch, go back to the weights with the best validation score (docs/tagf.md, Training).

    The weights, running statistics included, are those that ``VACheckpointHook`` keeps. As in the reference,
    the optimiser keeps its state: its moments are those of the epoch just trained.

    Args:
        monitor: the score: 'ccc', 'ccc_valence' or 'ccc_arousal'.
    """

    priority = 75

    def __init__(self, monitor: str = 'ccc') -> None:
        self.monitor = monitor

    def between_epochs(self, runner: Runner) -> None:
        """Reload the best weights."""
        VACheckpointHook.of(runner, 'ReloadBestHook').reload_best(runner, self.monitor)
