"""The newest training states, and the best weights for each target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import broadcast, broadcast_object_list, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.checkpoints import load_checkpoint, load_state_dict, save_checkpoint
from abawfw.components import WholeNumber
from abawfw.engine.training_state import bare_model, model_meta
from abawfw.errors import ConfigError
from abawfw.registry import HOOKS


@HOOKS.register_module()
class VACheckpointHook(Hook):
    """Save the training state after every epoch, and the weights of the best epoch per CCC.

    Best weights are kept for each target (``ccc_valence``, ``ccc_arousal``) and for their mean (``ccc``), as
    ``best_KEY_epoch_N.pth``. A score must be strictly greater to replace the one before. Files outside the
    run's own work_dir are never touched, whatever a resumed checkpoint says: MMEngine 0.10.7 deletes the best
    file of the run that it resumes from.

    Args:
        batches: also save after this many batches within an epoch, for epochs that take long; 0 for never.
    """

    priority = 'VERY_LOW'

    def __init__(self, batches: WholeNumber = 0) -> None:
        self.batches = batches
        self.best: dict[str, dict[str, Any]] = {}

    def after_iter(self, runner: Runner) -> None:
        """Save the training state in mid-epoch."""
        if self.batches and runner.train_loop.batch % self.batches == 0:
            runner.save_training_state()

    def before_train(self, runner: Runner) -> None:
        """Bring the best weights along when a run continues from a checkpoint of another work_dir."""
        if runner.rank == 0:
            self._bring_along(runner)
            self._remove_outdated(Path(runner.work_dir))
        known = [self.best]
        broadcast_object_list(known)
        self.best = known[0]

    def _bring_along(self, runner: Runner) -> None:
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

    def after_epoch(self, runner: Runner) -> None:
        """Save the weights of this epoch for each score that is the best so far."""
        for key in ('ccc', *(f'ccc_{t}' for t in bare_model(runner).targets)):
            score = runner.train_loop.record.get(f'val_{key}')
            if score is None or not score > self.best.get(key, {'score': -float('inf')})['score']:
                continue
            file = f'best_{key}_epoch_{runner.epoch}.pth'
            self.best[key] = {'score': float(score), 'epoch': runner.epoch, 'file': file}
            if runner.rank == 0:
                meta = {**model_meta(runner), 'key': key, 'epoch': runner.epoch, 'score': float(score)}
                weights = {'meta': meta, 'state_dict': bare_model(runner).state_dict()}
                save_checkpoint(weights, Path(runner.work_dir) / file)

    def save_state(self, runner: Runner) -> None:
        """Save the training state, which knows of the best weights, then remove those it no longer names."""
        runner.save_training_state()
        if runner.rank == 0:
            self._remove_outdated(Path(runner.work_dir))

    @staticmethod
    def of(runner: Runner, asking: str) -> VACheckpointHook:
        """The one of this run.

        Raises:
            ConfigError: there is none; names the hook that needs it.
        """
        for hook in runner.hooks:
            if isinstance(hook, VACheckpointHook):
                return hook
        raise ConfigError(f'{asking} needs VACheckpointHook, which keeps the best weights: see default_hooks')

    def reload_best(self, runner: Runner, key: str) -> None:
        """Put the best weights of one score into the model of every rank; for use between two epochs.

        Raises:
            CheckpointError: the file is gone, damaged or of another architecture.
        """
        best = self.best.get(key)
        if best is None or best['epoch'] == runner.epoch:
            return  # no epoch has had a score that is a number, or these weights are in the model
        model, path = bare_model(runner), Path(runner.work_dir) / best['file']
        if runner.rank == 0:
            load_state_dict(model, load_checkpoint(path)['state_dict'], path)
        if get_world_size() > 1:
            for tensor in model.state_dict().values():
                broadcast(tensor)

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
