"""Configs beside one another, each with the runs of several seeds on the same videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot
from statistics import fmean, stdev

from abawfw.errors import ConfigError, DataError, counted
from abawfw.evaluation.functional import Interval, Moments, bootstrap_ccc, effective_number
from abawfw.prediction_files import Predictions
from abawfw.results.agreement import common_groups, differences
from abawfw.results.compared_score import ALPHA, MEAN, VERDICTS, compared, mean_ccc, notes_on
from abawfw.results.comparison import missing_intervals, notes_on_runs
from abawfw.results.run import Run

THESE_RUNS = 'for these seeds: it is these runs that are better or worse, other seeds may not be'


class ConfigComparison:
    """Configs whose runs predicted the same videos; the first is the baseline of all others.

    The CCC of a config is the mean over its seeds of the CCC over all frames of val, of all folds together.
    Its interval and all tests draw videos, or groups of them, for the seeds that there are: it is these runs
    that are better or worse. How much the CCC varies from seed to seed is its standard deviation. Tests are
    corrected for their number, as in ``Comparison``.

    Args:
        configs: by name, seed by seed, the tested runs of the folds (one run where there are none); as many
            of each config, in the same order.
        stage: 'raw', 'clipped' or 'smoothed' predictions.

    Attributes:
        configs: as given.
        names: of the configs.
        stage: as given.
        targets: those that all runs have.
        videos: names of the videos.
        unit: what is drawn, 'group' or 'video'.
        unit_text: the same with their number, and as how many of equal length they count.
        by_seed: CCC by target, config by config, seed by seed; and under 'mean' the means over the targets.
        intervals: 95 % interval of the mean CCC by target, config by config.
        scores: every config but the first beside the first.
        level: of the intervals of differences.

    Raises:
        ConfigError: fewer than two configs, other numbers of runs, or no target that all have.
        DataError: runs differ in videos, frames or labels, folds have a video in common, or no frame has a
            label.
    """

    def __init__(self, configs: Mapping[str, Sequence[Sequence[Run]]], stage: str = 'raw') -> None:
        self.configs, self.names, self.stage = dict(configs), tuple(configs), stage
        every = [run for seeds in configs.values() for folds in seeds for run in folds]
        shapes = {name: [len(folds) for folds in seeds] for name, seeds in configs.items()}
        if len(configs) < 2 or any(shape != shapes[self.names[0]] for shape in shapes.values()):
            listed = ', '.join(f'{name}: {counted(sum(shape), "run")}' for name, shape in shapes.items())
            raise ConfigError(f'two configs or more, with as many runs each, can be compared, not {listed}')
        self.targets = tuple(t for t in every[0].targets if all(t in run.targets for run in every))
        if not self.targets:
            raise ConfigError(f'the runs of {", ".join(self.names)} have no target in common')
        if problems := [line for fold in range(shapes[self.names[0]][0]) for line in self._differ(fold)]:
            raise DataError('these runs cannot be compared:\n  ' + '\n  '.join(problems))
        self.moments = {
            t: [[self._together(folds, t) for folds in seeds] for seeds in configs.values()]
            for t in self.targets
        }
        self.videos = tuple(self.moments[self.targets[0]][0][0])
        groups = common_groups([str(run.folder) for run in every], [run.groups for run in every])
        groups = groups.among(self.videos)
        self.unit, drawn = groups.unit(self.videos), groups.units(self.videos)
        self._units = units = {
            t: [
                [[Moments.pool(of[v] for v in unit) for unit in drawn] for of in seeds] for seeds in by_config
            ]
            for t, by_config in self.moments.items()
        }
        if not any(unit.n for unit in units[self.targets[0]][0][0]):
            raise DataError(f'no frame of {every[0].folder} has a label: there is nothing to compare')
        count = effective_number(units[self.targets[0]][0][0])
        self.unit_text = f'{groups.text(self.videos)}, which count as {count:.1f} of equal length'
        self.by_seed = {t: [[mean_ccc(seed) for seed in seeds] for seeds in of] for t, of in units.items()}
        self.by_seed[MEAN] = [
            [fmean(values) for values in zip(*(self.by_seed[t][k] for t in self.targets), strict=True)]
            for k in range(len(self.names))
        ]
        self.intervals: dict[str, list[Interval]] = {
            t: [bootstrap_ccc(seeds, unit=self.unit) for seeds in of] for t, of in units.items()
        }
        self.scores = compared(self.names, units, self.unit)
        self.level = 1 - ALPHA / self.scores[0].comparisons

    @property
    def notes(self) -> list[str]:
        """What to know about the scores, their intervals and p-values, a sentence each."""
        units = {target: of[0] for target, of in self._units.items()}
        runs = {
            f'{name}/{run.name}': run
            for name, seeds in self.configs.items()
            for folds in seeds
            for run in folds
        }
        return [
            *missing_intervals(self.names, self.intervals),
            *notes_on(self.scores, units, self.unit),
            *self._seed_notes(),
            *notes_on_runs(runs, self.stage),
        ]

    def _seed_notes(self) -> list[str]:
        """Which configs are better or worse by no more than other seeds may change."""
        lines = []
        for score in self.scores:
            spreads = [self.spread(k, score.target) for k in (0, self.names.index(score.run))]
            known = [spread for spread in spreads if spread is not None]
            error = hypot(*known) / len(self.by_seed[MEAN][0]) ** 0.5
            if known and score.verdict in VERDICTS and abs(score.difference.value) < 2 * error:
                lines.append(
                    f'{score.run}, {score.target}: the difference has a standard error of {error:.4f} over '
                    'the seeds, so that other seeds of the same configs may turn it around'
                )
        return lines

    def _differ(self, fold: int) -> list[str]:
        """In what the runs of a fold differ, a line each."""
        runs = [folds[fold] for seeds in self.configs.values() for folds in seeds]
        files = {
            t: [Predictions(run.predictions(t, self.stage), run.labels(t)) for run in runs]
            for t in self.targets
        }
        named = [str(run.folder) for run in runs]
        return [f'{t}: {line}' for t, of in files.items() for line in differences(named, of)]

    def _together(self, folds: Sequence[Run], target: str) -> dict[str, Moments]:
        """Statistics of the videos of all folds."""
        found: dict[str, Moments] = {}
        for run in folds:
            more = run.moments(target, self.stage)
            if twice := found.keys() & more.keys():
                raise DataError(f'{run.folder}: video {min(twice)!r} is validated in another fold, too')
            found |= more
        return found

    def mean(self, config: int, target: str) -> float:
        """Mean CCC over the seeds of a config, of a target or 'mean'."""
        return fmean(self.by_seed[target][config])

    def spread(self, config: int, target: str) -> float | None:
        """Standard deviation (n - 1) of the CCC over the seeds of a config; None of one."""
        values = self.by_seed[target][config]
        return stdev(values) if len(values) > 1 else None

    def summary(self, config: int, key: str) -> float | None:
        """Mean over the runs of a config of a number in summary.json; None where one does not say it."""
        values = [run.summary.get(key) for seed in self.configs[self.names[config]] for run in seed]
        known = [float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
        return fmean(known) if len(known) == len(values) else None

    def own(self, config: int, target: str, video: str) -> float | None:
        """Mean over the seeds of a video's own CCC; None where it has none."""
        values = [of[video].own_ccc for of in self.moments[target][config]]
        return fmean(v for v in values if v is not None) if None not in values else None
