"""A search: trials that learn from earlier ones, kept in a file beside the runs (Optuna)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from abawfw.errors import ConfigError
from abawfw.results.run import Run
from abawfw.results.study_file import NAME, STUDY, cut_unfinished, open_storage
from abawfw.series.launchers.base import Job
from abawfw.series.sweep_space import Values, is_distribution

SAMPLERS = ('random', 'tpe')
MakeJob = Callable[[int, Values], Job]


class Study:
    """Trials of a space: which values each takes, and what it has come to.

    What a trial takes depends on the seed, its number and the trials that have ended before it is begun, so a
    search of one run at a time goes on after a stop as if there had been none.

    Args:
        folder: of the runs; the file of the search lies there.
        space: values by dotted key, as ``read_space`` gives them; of distributions those that have bounds.
        sampler: 'random', or 'tpe' (tree-structured Parzen estimators, Bergstra et al. 2011).
        seed: of the search.
        config: text of the config that all runs have in common.
        targets: whose mean CCC is to be highest.
        pruner: that its runs have, None for none; a file that does not say which is taken.

    Attributes:
        mended: what was wrong with the file and is repaired, a line; None for nothing.

    Raises:
        ConfigError: Optuna is not installed, a distribution without bounds, or the file is of another search;
            says what differs.
    """

    def __init__(
        self,
        folder: Path,
        space: Mapping[str, Any],
        sampler: str,
        seed: int,
        config: str,
        targets: list[str],
        pruner: str | None = None,
    ) -> None:
        self.space, self.sampler, self.seed, self.targets = space, sampler, seed, targets
        self._open: dict[int, Job] = {}
        self._bounds = {key: _bounds(key, choices) for key, choices in space.items()}
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / STUDY
        self.mended = cut_unfinished(self.path)
        self.optuna, storage = open_storage(self.path, f'--sampler {sampler}')
        self.study = self.optuna.create_study(
            study_name=NAME, storage=storage, direction='maximize', load_if_exists=True
        )
        self._check_same(config, pruner)

    def _check_same(self, config: str, pruner: str | None) -> None:
        now = {
            'sampler': self.sampler,
            'pruner': pruner or 'none',
            'seed': self.seed,
            'space': repr(
                [(k, b, self.space[k] if isinstance(b, int) else '') for k, b in self._bounds.items()]
            ),
            'config': hashlib.sha256(config.encode()).hexdigest(),
        }
        then = self.study.user_attrs
        if differing := [key for key, value in now.items() if key in then and then[key] != value]:
            raise ConfigError(
                f'{self.path} is of a search with another {" and another ".join(differing)}: undo the '
                'change, or choose another folder with --out'
            )
        for key, value in now.items():
            if key not in then:
                self.study.set_user_attr(key, value)

    def jobs(self, trials: int, make: MakeJob) -> Iterator[Job]:
        """Runs to start, one by one: what was begun and has not ended, then new ones, up to so many trials.

        Between two, what has ended is noted, so that the next one learns from it.
        """
        self._open = {t.number: make(t.number, self._values(t)) for t in self._trials('RUNNING')}
        self.note()
        yield from list(self._open.values())
        while True:
            self.note()
            if len(self._trials('RUNNING', 'COMPLETE', 'PRUNED')) >= trials:
                return
            number, values = self._ask()
            self._open[number] = make(number, values)
            yield self._open[number]

    def note(self) -> None:
        """Note what trials have ended with, and forget their runs.

        Called once more when all have ended: of several at a time, the last end when no other is asked for.
        """
        for number in [n for n, job in self._open.items() if job.done()]:
            scores = Run(self._open.pop(number).work_dir).scores(self.targets)
            if scores is None:
                continue
            if 'pruned' in self.study.trials[number].user_attrs:
                self.study.tell(number, state=self.optuna.trial.TrialState.PRUNED)
            else:
                self.study.tell(number, scores['ccc'])

    def give_up(self, number: int) -> None:
        """Note that the run of a trial has failed for good."""
        self.study.tell(number, state=self.optuna.trial.TrialState.FAIL)

    @property
    def ended(self) -> dict[int, tuple[Values, int | None]]:
        """Values of the trials that have ended, by number, and the epoch at which one was pruned."""
        found = self._trials('COMPLETE', 'PRUNED')
        return {t.number: (self._values(t), t.user_attrs.get('pruned')) for t in found}

    def _trials(self, *states: str) -> list[Any]:
        return [trial for trial in self.study.trials if trial.state.name in states]

    def _ask(self) -> tuple[int, Values]:
        samplers, seed = self.optuna.samplers, [self.seed, len(self.study.trials)]
        word = int.from_bytes(hashlib.sha256(repr(seed).encode()).digest()[:4], 'little')
        kind = {'random': samplers.RandomSampler, 'tpe': samplers.TPESampler}[self.sampler]
        copy = self.optuna.create_study(direction='maximize', sampler=kind(seed=word))
        copy.add_trials(self.study.trials)
        trial = copy.ask()
        for key, bounds in self._bounds.items():
            if isinstance(bounds, int):
                trial.suggest_categorical(key, list(range(bounds)))
            else:
                low, high, log = bounds
                suggest = trial.suggest_int if isinstance(low, int) else trial.suggest_float
                suggest(key, low, high, log=log)
        # in one entry: a kill between two would leave a trial without some of its values
        state = self.optuna.trial.TrialState.RUNNING
        drawn = {'params': trial.params, 'distributions': trial.distributions}
        self.study.add_trial(self.optuna.trial.create_trial(state=state, **drawn))
        return trial.number, self._values(trial)

    def _values(self, trial: Any) -> Values:
        return {
            key: self.space[key][trial.params[key]] if isinstance(bounds, int) else trial.params[key]
            for key, bounds in self._bounds.items()
        }


def extremes(space: Mapping[str, Any]) -> list[Values]:
    """Combinations in which every value of a list, and both bounds of every distribution, come at least once.

    Raises:
        ConfigError: a distribution without bounds.
    """
    bounds = {key: _bounds(key, choices) for key, choices in space.items()}
    longest = max(2, *(b for b in bounds.values() if isinstance(b, int)), 2)
    return [
        {key: space[key][min(i, b - 1)] if isinstance(b, int) else b[min(i, 1)] for key, b in bounds.items()}
        for i in range(longest)
    ]


def _bounds(key: str, choices: Any) -> int | tuple[Any, Any, bool]:
    """How many values there are; or the lowest and the highest, and whether these are of a logarithm.

    Raises:
        ConfigError: the distribution is none of the known ones.
    """
    if not is_distribution(choices):
        return len(choices)
    name, (low, high) = choices.dist.name, choices.support()
    if name == 'randint':
        return int(low), int(high), False
    if name in ('uniform', 'loguniform', 'reciprocal'):
        return float(low), float(high), name != 'uniform'
    raise ConfigError(
        f'{key}: a search takes lists, and uniform, loguniform and randint of scipy.stats, not {name}'
    )
