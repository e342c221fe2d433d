"""The newest training states, and the best weights for each target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.checkpoints import load_checkpoint, save_checkpoint
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

    def before_train(self, runner: Runner) -> None:
        """Bring the best weights along when a run continues from a checkpoint of another work_dir."""
        if runner.rank != 0:
            return
        here = Path(runner.work_dir)
        for key, name in [(k, Path(v['file']).name) for k, v in self.best.items()]:
            if (here / name).is_file():
                continue
            source = runner.resumed_from.parent / name
            if source.is_file():
                save_checkpoint(load_checkpoint(source), here / name)
                continue
            del self.best[key]
            runner.logger.warning(
                f'{source}, the best weights of {key}, is gone: the next epoch counts as best'
            )
        self._remove_outdated(here)

    def after_epoch(self, runner: Runner) -> None:
        """Save the best weights, then the training state that knows of them, then remove the old ones."""
        for key in ('ccc', *(f'ccc_{t}' for t in bare_model(runner).targets)):
            score = runner.train_loop.record.get(f'val_{key}')
            if score is None or score <= self.best.get(key, {'score': -float('inf')})['score']:
                continue
            file = f'best_{key}_epoch_{runner.epoch}.pth'
            self.best[key] = {'score': float(score), 'epoch': runner.epoch, 'file': file}
            if runner.rank == 0:
                meta = {**model_meta(runner), 'key': key, 'epoch': runner.epoch, 'score': float(score)}
                weights = {'meta': meta, 'state_dict': bare_model(runner).state_dict()}
                save_checkpoint(weights, Path(runner.work_dir) / file)
        runner.save_training_state()
        if runner.rank == 0:
            self._remove_outdated(Path(runner.work_dir))

    def _remove_outdated(self, work_dir: Path) -> None:
        """Found by name, so that what a kill left behind goes too."""
        for key, best in self.best.items():
            for path in work_dir.glob(f'best_{key}_epoch_*.pth'):
                if path.name != Path(best['file']).name:
                    path.unlink()

    def state_dict(self) -> dict[str, Any]:
        """The best scores so far."""
        return {'best': {k: dict(v) for k, v in self.best.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with these best scores."""
        self.best = state['best']
