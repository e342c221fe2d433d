"""Sweep: a run per combination of values of one config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from abawfw.apis.check import check_config
from abawfw.config.loading import resolve
from abawfw.datasets.clip_dataset import videos_of
from abawfw.datasets.stores import open_store
from abawfw.errors import ConfigError, DataError, few
from abawfw.evaluation.functional import Moments
from abawfw.files import write_text
from abawfw.results.agreement import common_groups, differences
from abawfw.results.run import Run
from abawfw.series.launchers.base import Job, Launcher, Report
from abawfw.series.runs import PlannedRun, Row, Series, SeriesResult
from abawfw.series.study import Study, extremes
from abawfw.series.sweep_space import Values, to_run, unknown_keys
from abawfw.submission.contribution import ValGroup
from abawfw.submission.weights import ccc_of_means, folds_of, mean_moments
from abawfw.text_files import csv_text

CSV = 'sweep.csv'


def sweep(series: Series, combinations: Sequence[Values], launcher: Launcher, report: Report) -> SeriesResult:
    """Train and test every combination; what is done already is not done again.

    Args:
        series: config and folder; the folders of the runs are named after the values.
        combinations: value by dotted key, from ``grid`` or ``draw``.
        launcher: starts the runs.
        report: called with a line at every start and end.

    Returns:
        A row per run that is done, the highest validation CCC first, as written to ``sweep.csv``; and the
        runs that failed.

    Raises:
        ConfigError: misspelt keys or unusable values, all at once, before any run is started.
        Interrupted: Ctrl-C.
    """
    _check(series, combinations)
    runs = [to_run(values) for values in combinations]
    return _sorted(series, series.launch(runs, launcher, report))


def search(
    series: Series,
    space: Mapping[str, Any],
    trials: int,
    seed: int,
    launcher: Launcher,
    report: Report,
    sampler: str = 'tpe',
    pruner: str | None = None,
) -> SeriesResult:
    """Train and test trials that learn from earlier ones, until so many have ended.

    The file of the search lies beside the runs, so that the same command goes on after a stop; with more
    trials than before, it goes on beyond.

    Args:
        series: config and folder.
        space: value by dotted key, from ``read_space``.
        trials: how many, pruned ones among them; those that fail do not count.
        seed: of the search.
        launcher: starts the runs.
        report: called with a line at every start and end.
        sampler: one of ``SAMPLERS``.
        pruner: ends trials that lag behind, see ``PruningHook``; None for none.

    Returns:
        As ``sweep``; pruned trials have a column ``pruned``, the epoch they were ended at.

    Raises:
        ConfigError: as ``sweep``; or the file is of another search.
        Interrupted: Ctrl-C.
    """
    if trials < 1:
        raise ConfigError(f'--trials {trials}: it must be 1 or more')
    _check(series, extremes(space))
    config = series.load()
    study = Study(series.out, space, sampler, seed, config.pretty_text, list(config.targets), pruner)
    if study.mended:
        report(study.mended)

    def planned(number: int, values: Values) -> PlannedRun:
        hook = {'type': 'PruningHook', 'study': str(study.path.resolve()), 'trial': number, 'pruner': pruner}
        return to_run(values, number, {'default_hooks.pruning': hook} if pruner else None)

    def make(number: int, values: Values) -> Job:
        return series.job(planned(number, values), config.targets)

    started = [planned(number, values) for number, (values, _) in study.ended.items()]
    series.check_data({run.name: series.load(run) for run in started})
    launcher.jobs = launcher.jobs or 1  # all at once would learn nothing from one another
    failures = launcher.launch(study.jobs(trials, make), report)
    study.note()
    for failure in failures:
        study.give_up(int(failure.job.name.partition(',')[0]))
    ended = [make(number, values) for number, (values, _) in study.ended.items()]
    unlike = launcher.launch([job for job in ended if job.note], report)  # a user has tested them otherwise
    runs = [(planned(number, values), epoch) for number, (values, epoch) in study.ended.items()]
    epochs = {run.name: epoch for run, epoch in runs}
    claimed = [run for run, _ in runs if run.name not in {failure.job.name for failure in unlike}]
    found = series.rows(claimed, {run.name: list(config.targets) for run in claimed})
    for row in found:
        if (epoch := epochs[row['run']]) is not None:
            row['pruned'] = epoch
    return _sorted(series, SeriesResult(found, [*unlike, *failures]))


def choice(series: Series, rows: Sequence[Row]) -> Selection | None:
    """What choosing among these runs on val is worth on other videos; None for fewer than two.

    The epoch of each was chosen on all of val and is not chosen anew.

    Raises:
        DataError: predictions of a run are missing or damaged, or differ in their videos.
    """
    return cross_validated_choice([Run(series.out / row['run']) for row in rows], series.load().targets)


class Selection(NamedTuple):
    """A choice of one run, cross-validated.

    Attributes:
        ccc: mean over the targets of the CCC over all frames, each predicted by the run that was best on the
            other folds of the videos.
        unit: what the folds divide, as text.
    """

    ccc: float
    unit: str


def cross_validated_choice(runs: Sequence[Run], targets: Sequence[str]) -> Selection | None:
    """Choose the run of the highest mean CCC over the targets without a fold of val, and measure it there.

    The highest of many scores is partly luck on the very videos that chose it. Raw predictions are compared,
    as in tables of sweeps.

    Args:
        runs: that have predicted the same videos.
        targets: that all estimate.

    Returns:
        None for fewer than two labelled videos, or groups of them.

    Raises:
        DataError: as ``choice``.
    """
    by_target = [[run.read('val', target, 'raw') for run in runs] for target in targets]
    names = [run.name for run in runs]
    if problems := [line for found in by_target for line in differences(names, found)]:
        raise DataError(few(problems, 2, '; '))
    groups = common_groups(names, [run.groups_of(by_target[0][0].preds) for run in runs])
    units = [
        ValGroup.of(found[0].labels or {}, [p.preds for p in found], groups).units for found in by_target
    ]
    folds = folds_of([min(of_unit, key=lambda unit: unit.n) for of_unit in zip(*units, strict=True)])
    if not folds:
        return None
    alone = np.eye(len(runs))
    parts: list[list[Moments]] = [[] for _ in targets]
    for kept, held_out in folds:
        scores = sum(ccc_of_means(Moments.pool(of[i] for i in kept), alone) for of in units)
        best = int(np.argmax(scores))
        for part, of in zip(parts, units, strict=True):
            part += [mean_moments(of[i], alone[best]) for i in held_out]
    videos = list(by_target[0][0].preds)
    return Selection(fmean(Moments.pool(part).ccc for part in parts), groups.text(videos))


def _sorted(series: Series, found: SeriesResult) -> SeriesResult:
    """The highest CCC first, and written to the folder of the runs."""
    rows = sorted(found.rows, key=lambda row: -row['ccc'])
    if rows:
        write_text(series.out / CSV, csv_text(rows))
    return SeriesResult(rows, found.failures)


def _check(series: Series, combinations: Sequence[Values]) -> None:
    """Check the keys, and the config of every combination; what several have in common is reported once.

    Scores on other videos cannot be ranked, so all must have the same videos in val.
    """
    unknown = unknown_keys(series.load().to_dict(), combinations[0])
    problems = dict.fromkeys(f'  {text}' for text in unknown.values())
    seen, val = set[str](), dict[tuple[str, ...], str]()  # settings of val; a run with these videos
    for values in combinations:
        planned = to_run({key: value for key, value in values.items() if key not in unknown})
        try:
            check_config(cfg := series.load(planned), training=True)
        except ConfigError as error:
            first, *lines = str(error).splitlines()
            problems |= dict.fromkeys(lines or [f'  {first}'])
            continue
        resolved = resolve(cfg)
        dataset = resolved.val_dataloader.dataset
        settings = repr([resolved.data_root, *map(dataset.get, ('split', 'debug'))])
        if settings not in seen:
            seen.add(settings)
            videos = videos_of(dataset, open_store(resolved.data_root), 'val')
            val.setdefault(tuple(video.video_id for video in videos), planned.name)
    if len(val) > 1:
        listed = few([f'{few(videos)} in {name}' for videos, name in val.items()], 3, '; ')
        problems[f'  videos of val differ, so scores cannot be ranked: {listed}'] = None
    if problems:
        raise ConfigError('\n'.join([f'{series.config} with values of the space:', *problems]))
