"""Training that a search ends early, where its scores lag behind those of other trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list
from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.components import WholeNumber
from abawfw.engine.monitor import monitored_score
from abawfw.errors import ConfigError
from abawfw.registry import HOOKS
from abawfw.results.study_file import NAME, open_storage

PRUNERS = {'median': 'MedianPruner', 'asha': 'SuccessiveHalvingPruner'}


@HOOKS.register_module()
class PruningHook(Hook):
    """Report the score of every epoch to a search, and end training where its rule says so.

    ``tools/sweep.py --pruner`` adds it to the runs that it starts.

    Args:
        study: file of the search.
        trial: number of the trial that this run is.
        pruner: 'median' (worse than the median of earlier trials at the same epoch) or 'asha' (successive
            halving: not among the best quarter at an epoch of a power of 4; arXiv:1810.05934).
        monitor: the score: 'ccc', 'ccc_valence' or 'ccc_arousal'.

    Raises:
        ConfigError: an unknown rule.
    """

    def __init__(self, study: str, trial: WholeNumber, pruner: str, monitor: str = 'ccc') -> None:
        if pruner not in PRUNERS:
            raise ConfigError(f'PruningHook(pruner={pruner!r}): there are {" and ".join(PRUNERS)}')
        self.study, self.trial, self.pruner, self.monitor = study, trial, pruner, monitor
        self._optuna: Any = None
        self._study: Any = None

    def before_train(self, runner: Runner) -> None:
        """Open the search; stop at once if the resumed run had been stopped.

        Raises:
            ConfigError: the file has no such trial.
        """
        over = [False]
        if runner.rank == 0:
            pruned = self._open().user_attrs.get('pruned')
            over = [pruned is not None and runner.epoch >= pruned]
        broadcast_object_list(over)
        runner.train_loop.stop_training |= over[0]

    def _open(self) -> Any:
        """Open the search; what it knows of the trial."""
        if not Path(self.study).is_file():
            raise ConfigError(
                f'PruningHook: {self.study}: no such file; runs of a search are started by sweep.py'
            )
        self._optuna, storage = open_storage(Path(self.study), 'PruningHook')
        pruner = getattr(self._optuna.pruners, PRUNERS[self.pruner])()
        self._study = self._optuna.load_study(study_name=NAME, storage=storage, pruner=pruner)
        trials = {trial.number: trial for trial in self._study.trials}
        if self.trial not in trials:
            raise ConfigError(f'PruningHook: {self.study} has no trial {self.trial}')
        if trials[self.trial].state.is_finished():
            raise ConfigError(f'PruningHook: trial {self.trial} of {self.study} has ended already')
        return trials[self.trial]

    def between_epochs(self, runner: Runner) -> None:
        """Report the score, and stop if the rule says so."""
        stops = [False]
        if runner.rank == 0:
            score, last = monitored_score(runner, self.monitor), runner.epoch == runner.max_epochs
            stops = [self._lags(score, runner.epoch, last)]
        broadcast_object_list(stops)
        if stops[0]:
            runner.logger.info(f'worse than other trials at this epoch ({self.pruner}): stopping')
            runner.train_loop.stop_training = True

    def _lags(self, score: float, epoch: int, last: bool) -> bool:
        """What the rule says of an epoch, or said when the run had got there before it was killed."""
        stored = self._study.trials[self.trial]
        trial = self._optuna.Trial(self._study, stored._trial_id)
        pruned = stored.user_attrs.get('pruned')
        if pruned is None:
            if stored.last_step is not None and epoch < stored.last_step:
                return False  # the run has gone on from here
            if epoch != stored.last_step:
                trial.report(score, epoch)
            if self._asked_in_memory() and not last:
                pruned = epoch
                trial.set_user_attr('pruned', epoch)
        trial.should_prune()  # others are compared with what this keeps
        return pruned is not None and epoch >= pruned

    def _asked_in_memory(self) -> bool:
        """What the rule says, nothing kept of the asking: it answers once, so the answer is stored first."""
        copy = self._optuna.create_study(direction=self._study.direction, pruner=self._study.pruner)
        copy.add_trials(self._study.trials)
        return self._optuna.Trial(copy, copy.trials[self.trial]._trial_id).should_prune()
