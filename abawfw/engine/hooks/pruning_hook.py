"""Training that a search ends early, where its scores lag behind those of other trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list
from mmengine.hooks import Hook
from mmengine.runner import Runner

from abawfw.components import WholeNumber
from abawfw.engine.monitor import check_monitor, monitored_score
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
        self._trial: Any = None

    def before_train(self, runner: Runner) -> None:
        """Open the search.

        Raises:
            ConfigError: validation does not give the score, or the file has no such trial.
        """
        check_monitor(runner, 'PruningHook', self.monitor)
        if runner.rank != 0:
            return
        if not Path(self.study).is_file():
            raise ConfigError(
                f'PruningHook: {self.study}: no such file; runs of a search are started by sweep.py'
            )
        optuna, storage = open_storage(Path(self.study), 'PruningHook')
        pruner = getattr(optuna.pruners, PRUNERS[self.pruner])()
        study = optuna.load_study(study_name=NAME, storage=storage, pruner=pruner)
        trials = {trial.number: trial for trial in study.trials}
        if self.trial not in trials:
            raise ConfigError(f'PruningHook: {self.study} has no trial {self.trial}')
        if trials[self.trial].state.is_finished():
            raise ConfigError(f'PruningHook: trial {self.trial} of {self.study} has ended already')
        self._trial = optuna.Trial(study, trials[self.trial]._trial_id)

    def between_epochs(self, runner: Runner) -> None:
        """Report the score, and stop if the rule says so."""
        stops = [False]
        if runner.rank == 0:
            self._trial.report(monitored_score(runner, self.monitor), runner.epoch)
            stops = [self._trial.should_prune()]
        broadcast_object_list(stops)
        if stops[0] and runner.epoch < runner.max_epochs:
            runner.logger.info(f'worse than other trials at this epoch ({self.pruner}): stopping')
            if runner.rank == 0:
                self._trial.set_user_attr('pruned', runner.epoch)
            runner.train_loop.stop_training = True
