"""Series of runs of one config: what is done, what is left, doing it, and the table of what came of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeAlias

from abawfw.components import build
from abawfw.config.diff import config_diff
from abawfw.config.loading import VAConfig, load_config, resolve
from abawfw.config.overrides import parse_words
from abawfw.datasets.seen import data_seen, other_data
from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.postprocess import Pipeline
from abawfw.prediction_files import marked
from abawfw.registry import DATASETS
from abawfw.results.report_file import REPORT, TestedPipeline, digest, recorded, text_digest
from abawfw.results.report_table import aligned
from abawfw.results.run import CONFIG, MEAN, PREDICTIONS, STD, Run
from abawfw.series.launchers.base import Failure, Job, Launcher, Report

SHOWN = 5  # differences of one run that are listed
Row: TypeAlias = dict[str, Any]  # column -> text, number, or None where there is nothing


@dataclass(frozen=True)
class PlannedRun:
    """One run of a series.

    Attributes:
        name: of its folder.
        labels: in which it differs from the others, columns of the table.
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
        tests: how each run is tested once it is trained: overrides of the test alone, by the folder of the
            run that its predictions go to.
    """

    config: Path
    out: Path
    tools: Path
    data_root: str | None = None
    words: tuple[str, ...] = ()
    tests: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {PREDICTIONS: ()})

    def load(self, planned: PlannedRun | None = None) -> VAConfig:
        """The config of a run, or the one that all have in common, as tools/train.py loads it."""
        words = [*self.words, *(planned.words if planned else ())]
        named = {'data_root': self.data_root, 'seed': planned.seed if planned else None}
        overrides = parse_words(words) | {k: v for k, v in named.items() if v is not None}
        return load_config(self.config, overrides)

    def launch(self, runs: Sequence[PlannedRun], launcher: Launcher, report: Report) -> SeriesResult:
        """Do what is left of all runs and collect their results.

        Raises:
            ConfigError: runs in ``out`` were started with another config.
            Interrupted: see ``Launcher.launch``.
        """
        jobs, targets = self.plan(runs)
        failures = launch(jobs, launcher, report)
        failed = {failure.job.name for failure in failures}
        done = [planned for planned in runs if planned.name not in failed]
        return SeriesResult(self.rows(done, targets), failures)

    def plan(self, runs: Sequence[PlannedRun]) -> tuple[list[Job], dict[str, Sequence[str]]]:
        """What is to be started, and the targets of each run by name.

        Raises:
            ConfigError: runs in ``out`` were started with another config; or ``out`` can be no folder.
            DataError: see ``check_data``.
        """
        there = next(path for path in (self.out, *self.out.parents) if path.exists())
        if not there.is_dir():
            raise ConfigError(f'{there} is a file: choose another folder for the runs with --out')
        configs = {planned.name: self.load(planned) for planned in runs}
        self._check_unchanged(configs)
        self.check_data(configs)
        targets = {name: cfg.targets for name, cfg in configs.items()}
        return [self.job(planned, targets[planned.name]) for planned in runs], targets

    def check_data(self, configs: Mapping[str, VAConfig]) -> None:
        """Refuse runs of other data than there are now; what a version before 0.2 has trained is taken.

        Raises:
            DataError: a run that has begun saw others; names the first one.
        """
        known: dict[str, dict[str, str]] = {}
        for name, cfg in configs.items():
            run = Run(self.out / name)
            if run.status is None or not (then := run.summary.get('data')):
                continue
            loaders = [resolve(cfg)[key].to_dict() for key in ('train_dataloader', 'val_dataloader')]
            chosen = ('store', 'features', 'optional', 'split', 'debug', 'pipeline')
            key = repr([loader['dataset'].get(of) for loader in loaders for of in chosen])
            if key not in known:
                known[key] = data_seen(build(DATASETS, of['dataset'], '', fit=False) for of in loaders)
            if changed := other_data(then, known[key]):
                raise DataError(
                    f'{run.path} has seen other data than {cfg.data_root} holds now: {changed} differ. '
                    'Restore the data, choose another folder with --out, or delete these runs'
                )

    def rows(self, runs: Sequence[PlannedRun], targets: Mapping[str, Sequence[str]]) -> list[Row]:
        """A row of each run that has scores of its targets, by name."""
        found = []
        for planned in runs:
            scores = Run(self.out / planned.name).scores(targets[planned.name])
            if scores is not None:
                found.append({'run': planned.name, **planned.labels, **scores})
        return found

    def job(self, planned: PlannedRun, targets: Sequence[str]) -> Job:
        """The commands that are left: training and tests, tests, or none."""
        work_dir = self.out / planned.name
        train = [sys.executable, str(self.tools / 'train.py'), str(self.config)]
        train += ['--work-dir', str(work_dir), '--resume']
        train += ['--data-root', self.data_root] if self.data_root is not None else []
        train += ['--seed', str(planned.seed)] if planned.seed is not None else []
        words = [*self.words, *planned.words]
        train += ['--cfg-options', *words] if words else []
        trained = Run(work_dir).status == 'done'
        commands = [] if trained else [tuple(train)]
        notes = []
        for folder, tested in self.tests.items():
            if trained and _is_tested(work_dir, folder, targets):
                if not (other := _made_otherwise(work_dir, folder, tested, targets)):
                    continue
                notes.append(f'what {folder}/ holds was made with {other}: it is tested again')
            test = [sys.executable, str(self.tools / 'test.py'), str(work_dir)]
            test += ['--out', str(work_dir / folder)] if folder != PREDICTIONS else []
            commands.append((*test, *(['--cfg-options', *tested] if tested else [])))
        # on a cluster, the environment of this process is not that of the run
        environment = {k: os.environ[k] for k in ('PYTHONPATH',) if k in os.environ}
        outputs = tuple(f'{folder}/{REPORT}' for folder in self.tests)
        return Job(planned.name, tuple(commands), work_dir, environment, outputs, note='; '.join(notes))

    def _check_unchanged(self, configs: dict[str, VAConfig]) -> None:
        """Refuse to mix runs of two configs in one table."""
        changed: dict[tuple[str, ...], list[str]] = {}
        for name, cfg in configs.items():
            lines = _changes(Run(self.out / name), cfg)
            if lines:
                changed.setdefault(tuple(lines), []).append(name)
        if changed:
            problems = [f'  {", ".join(names)}: {line}' for lines, names in changed.items() for line in lines]
            raise ConfigError(
                '\n'.join([f'{self.out} holds runs of another config; it was -> it is now', *problems])
                + '\nundo the change, choose another folder with --out, or delete these runs'
            )


def _is_tested(work_dir: Path, folder: str, targets: Sequence[str]) -> bool:
    """Whether a folder of a trained run holds predictions of its best checkpoints, written to their end."""
    run = Run(work_dir, folder)
    return run.scores(targets) is not None and marked(run.folder).isdisjoint(f'val {t}' for t in targets)


def _made_otherwise(work_dir: Path, folder: str, words: Sequence[str], targets: Sequence[str]) -> str | None:
    """In what the predictions of a run are not those of its config with these overrides; None for nothing.

    A user may have tested it in other ways, and a table claims the config. What a version before 0.2 has
    tested says nothing of this, and is taken where there are no overrides.
    """
    run = Run(work_dir, folder)
    found = [recorded(run.report, 'val', target) for target in targets]
    if words or any(found):
        config = text_digest(load_config(work_dir / CONFIG, parse_words(words)).pretty_text)
        if any(made is None or made.get('config_sha256') != config for made in found):
            return 'other settings'
    files = [(run.folder / made['checkpoint'], made['digest']) for made in found if made]
    if any(path.is_file() and digest(path) != then for path, then in files):
        return 'other weights'
    try:
        tested = [made for target in targets if (made := run.post_processing(target)) is not None]
        searched = not all(map(_as_configured, tested))
    except (DataError, ConfigError):
        return 'unknown post-processing'
    return 'searched post-processing' if searched else None


def _as_configured(made: TestedPipeline) -> bool:
    """Whether the steps are those of the config, which leaves out what is to be fitted."""
    steps = Pipeline.build(made.configured).settings(), made.pipeline.settings()
    return len(steps[0]) == len(steps[1]) and all(
        given == {key: applied.get(key) for key in given} for given, applied in zip(*steps, strict=True)
    )


def launch(jobs: Sequence[Job], launcher: Launcher, report: Report) -> list[Failure]:
    """Start what has commands left, and say how much is done already; raises as ``Launcher.launch``."""
    left = [job for job in jobs if job.commands]
    if len(left) < len(jobs):
        report(f'{len(jobs) - len(left)} of {len(jobs)} runs are done already')
    return launcher.launch(left, report)


def _changes(run: Run, cfg: VAConfig) -> list[str]:
    """In which values the config that a run was started with differs; nothing where no run was started."""
    if not (run.path / CONFIG).is_file():
        return []
    lines = config_diff(run.config, cfg)
    more = [f'and {len(lines) - SHOWN} more'] if len(lines) > SHOWN else []
    return [*lines[:SHOWN], *more]


READING = (
    'val CCC by stage of the predictions: raw, of the best epoch; smoothed, of the same weights after '
    'post-processing, cross-validated where that was tuned on val (an ensemble averages clipped or smoothed)'
)


def mean_and_std(rows: Sequence[Row], scores: Sequence[str]) -> list[Row]:
    """Two rows: the mean of each score over the rows, and its standard deviation (n - 1), None of one row."""
    columns = {name: [row[name] for row in rows] for name in scores}
    return [
        {'run': MEAN, **{name: fmean(values) for name, values in columns.items()}},
        {'run': STD, **{name: stdev(v) if len(v) > 1 else None for name, v in columns.items()}},
    ]


def to_text(rows: Sequence[Row]) -> str:
    """The table as aligned text, scores with four digits after the point and the stage in their title."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [list(map(_title, columns)), *([_cell(name, row.get(name)) for name in columns] for row in rows)]
    return '\n'.join(aligned(lines, [i for i, name in enumerate(columns) if not name.startswith('ccc')]))


def _title(name: str) -> str:
    """Of a column: keys without a stage are of raw predictions, as everywhere."""
    if not name.startswith('ccc'):
        return name
    return f'{name.removesuffix("_smoothed")} {"smoothed" if name.endswith("_smoothed") else "raw"}'


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ''
    return f'{value:.4f}' if name.startswith('ccc') else str(value)
