"""The newest training states, and the best weights for each target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.engine.checkpoint import save_checkpoint
from abawfw.engine.training_state import bare_model, model_meta
from abawfw.registry import HOOKS


@HOOKS.register_module()
class VACheckpointHook(Hook):
    """Save the training state after every epoch, and the weights of the best epoch per CCC.

    Best weights are kept for each target (``ccc_valence``, ``ccc_arousal``) and for their mean (``ccc``), as
    ``best_KEY_epoch_N.pth``. A score must be strictly greater to replace the one before. Files outside the
    run's own work_dir are never touched, whatever a resumed checkpoint says (spec/mmengine-traps.md, B5.5).

    Args:
        batches: also save after this many batches within an epoch, for epochs that take long; 0 for never.
    """

    priority = 'VERY_LOW'

    def __init__(self, batches: int = 0) -> None:
        self.batches = batches
        self.best: dict[str, dict[str, Any]] = {}

    def after_iter(self, runner: Runner) -> None:
        """Save the training state in mid-epoch."""
        if self.batches and runner.train_loop.batch % self.batches == 0:
            runner.save_training_state()

    def after_epoch(self, runner: Runner) -> None:
        """Update the best weights, then save the training state that knows of them, then remove the old ones."""
        outdated = []
        for key in ('ccc', *(f'ccc_{t}' for t in bare_model(runner).targets)):
            score = runner.train_loop.record.get(f'val_{key}')
            if score is None or score <= self.best.get(key, {'score': -float('inf')})['score']:
                continue
            if key in self.best:
                outdated.append(self.best[key]['file'])
            self.best[key] = {
                'score': float(score),
                'epoch': runner.epoch,
                'file': f'best_{key}_epoch_{runner.epoch}.pth',
            }
            if runner.rank == 0:
                meta = {**model_meta(runner), 'key': key, 'epoch': runner.epoch, 'score': float(score)}
                weights = {'meta': meta, 'state_dict': bare_model(runner).state_dict()}
                save_checkpoint(weights, Path(runner.work_dir) / self.best[key]['file'])
        runner.save_training_state()
        if runner.rank == 0:
            for name in outdated:
                (Path(runner.work_dir) / Path(name).name).unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        """The best scores so far."""
        return {'best': {k: dict(v) for k, v in self.best.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with these best scores."""
        self.best = state['best']
