"""Series of runs of one config: what is done, what is left, and doing it."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abawfw.config.diff import config_diff
from abawfw.config.loading import VAConfig, load_config
from abawfw.config.overrides import parse_words
from abawfw.errors import ConfigError, DataError
from abawfw.json_files import read_json
from abawfw.series.launchers.base import Failure, Launcher, Report, Run, status
from abawfw.series.results import Row, read_scores

SHOWN = 5  # differences of one run that are listed


@dataclass(frozen=True)
class Trial:
    """One run of a series.

    Attributes:
        name: of its folder.
        labels: what tells it from the others, columns of the table.
        words: overrides of this run alone, as after ``--cfg-options``.
        seed: instead of the config's.
    """

    name: str
    labels: dict[str, Any]
    words: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True)
class SeriesResult:
    """What a series has come to: rows of the table, and runs that are not done."""

    rows: list[Row]
    failures: list[Failure]


@dataclass(frozen=True)
class Series:
    """Runs of one config, each in a folder of its own.

    Attributes:
        config: file of the config.
        out: folder that holds the runs' folders.
        tools: folder of train.py and test.py.
        data_root: instead of the config's.
        words: overrides of all runs, as after ``--cfg-options``.
    """

    config: Path
    out: Path
    tools: Path
    data_root: str | None = None
    words: tuple[str, ...] = ()

    def load(self, trial: Trial | None = None) -> VAConfig:
        """The config of a trial, or the one that all have in common, as tools/train.py loads it."""
        words = [*self.words, *(trial.words if trial else ())]
        named = {'data_root': self.data_root, 'seed': trial.seed if trial else None}
        overrides = parse_words(words) | {k: v for k, v in named.items() if v is not None}
        return load_config(self.config, overrides)

    def launch(self, trials: Sequence[Trial], launcher: Launcher, report: Report) -> SeriesResult:
        """Do what is left of all trials and collect their results.

        Raises:
            ConfigError: runs in ``out`` were started with another config.
            Interrupted: see ``Launcher.launch``.
        """
        configs = {trial.name: self.load(trial) for trial in trials}
        self._check_unchanged(configs)
        runs = [self._run(trial, configs[trial.name]) for trial in trials]
        left = [run for run in runs if run.commands]
        if len(left) < len(runs):
            report(f'{len(runs) - len(left)} of {len(runs)} runs are done already')
        failures = launcher.launch(left, report)
        rows = []
        for trial in trials:
            scores = read_scores(self.out / trial.name, configs[trial.name].targets)
            if scores is not None and trial.name not in [failure.run.name for failure in failures]:
                rows.append({'run': trial.name, **trial.labels, **scores})
        return SeriesResult(rows, failures)

    def _run(self, trial: Trial, cfg: VAConfig) -> Run:
        """The commands that are left: training and testing, testing, or none."""
        work_dir = self.out / trial.name
        python = sys.executable
        train = [
            python,
            str(self.tools / 'train.py'),
            str(self.config),
            '--work-dir',
            str(work_dir),
            '--resume',
        ]
        train += ['--data-root', self.data_root] if self.data_root is not None else []
        train += ['--seed', str(trial.seed)] if trial.seed is not None else []
        words = [*self.words, *trial.words]
        train += ['--cfg-options', *words] if words else []
        test = (python, str(self.tools / 'test.py'), str(work_dir))
        trained = status(work_dir) == 'done'
        commands: tuple[tuple[str, ...], ...] = (test,) if trained else (tuple(train), test)
        if trained and read_scores(work_dir, cfg.targets) is not None:
            commands = ()
        # on a cluster, the environment of this process is not that of the run
        environment = {k: os.environ[k] for k in ('PYTHONPATH',) if k in os.environ}
        return Run(trial.name, commands, work_dir, environment, ('predictions/report.json',))

    def _check_unchanged(self, configs: dict[str, VAConfig]) -> None:
        """Refuse to mix runs of two configs in one table."""
        changed: dict[tuple[str, ...], list[str]] = {}
        for name, cfg in configs.items():
            lines = _changes(self.out / name, cfg)
            if lines:
                changed.setdefault(tuple(lines), []).append(name)
        if changed:
            problems = [f'  {", ".join(names)}: {line}' for lines, names in changed.items() for line in lines]
            raise ConfigError(
                '\n'.join([f'{self.out} holds runs of another config; it was -> it is now', *problems])
                + '\nundo the change, choose another folder with --out, or delete these runs'
            )


def _changes(work_dir: Path, cfg: VAConfig) -> list[str]:
    """In which values the config that a run was started with differs; nothing where no run was started."""
    theirs = work_dir / 'config.py'
    if not theirs.is_file():
        return []
    try:
        digest = read_json(work_dir / 'summary.json')['config_sha256']
    except (DataError, KeyError, TypeError):
        digest = None  # started, and killed before the first summary
    if digest == hashlib.sha256(cfg.pretty_text.encode()).hexdigest():
        return []
    lines = config_diff(load_config(theirs), cfg)
    more = [f'and {len(lines) - SHOWN} more'] if len(lines) > SHOWN else []
    return [*lines[:SHOWN], *more]


if TYPE_CHECKING:  # a command line says what it waits for before it imports MMEngine
    from abawfw.series.launchers.base import Failure, Launcher
