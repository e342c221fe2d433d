"""Sweep: a run per combination of values of one config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from abawfw.apis.check import check_config
from abawfw.errors import ConfigError
from abawfw.files import write_text
from abawfw.results.run import Run
from abawfw.series.launchers.base import Job, Launcher, Report
from abawfw.series.runs import PlannedRun, Row, Series, SeriesResult, to_csv
from abawfw.series.study import Study, extremes
from abawfw.series.sweep_space import Values, to_run, unknown_keys
from abawfw.submission.selection import Selection, cross_validated_choice

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
    study = Study(series.out, space, sampler, seed, config.pretty_text, list(config.targets))
    if study.mended:
        report(study.mended)

    def planned(number: int, values: Values) -> PlannedRun:
        hook = {'type': 'PruningHook', 'study': str(study.path.resolve()), 'trial': number, 'pruner': pruner}
        return to_run(values, number, {'default_hooks.pruning': hook} if pruner else None)

    def make(number: int, values: Values) -> Job:
        return series.job(planned(number, values), config.targets)

    launcher.jobs = launcher.jobs or 1  # all at once would learn nothing from one another
    failures = launcher.launch(study.jobs(trials, make), report)
    for failure in failures:
        study.give_up(int(failure.job.name.partition(',')[0]))
    ended = study.ended
    runs = [planned(number, values) for number, (values, _) in ended.items()]
    found = series.rows(runs, {run.name: list(config.targets) for run in runs})
    for row in found:
        if (epoch := ended[int(row['run'].partition(',')[0])][1]) is not None:
            row['pruned'] = epoch
    return _sorted(series, SeriesResult(found, failures))


def choice(series: Series, rows: Sequence[Row]) -> Selection | None:
    """What choosing the best of these runs on val is worth on other videos; None for fewer than two.

    Raises:
        DataError: predictions of a run are missing or damaged, or differ in their videos.
    """
    return cross_validated_choice([Run(series.out / row['run']) for row in rows], series.load().targets)


def _sorted(series: Series, found: SeriesResult) -> SeriesResult:
    """The highest CCC first, and written to the folder of the runs."""
    rows = sorted(found.rows, key=lambda row: -row['ccc'])
    if rows:
        write_text(series.out / CSV, to_csv(rows))
    return SeriesResult(rows, found.failures)


def _check(series: Series, combinations: Sequence[Values]) -> None:
    """Check the keys, and the config of every combination; what several have in common is reported once."""
    unknown = unknown_keys(series.load().to_dict(), combinations[0])
    problems = dict.fromkeys(f'  {text}' for text in unknown.values())
    for values in combinations:
        planned = to_run({key: value for key, value in values.items() if key not in unknown})
        try:
            check_config(series.load(planned), training=True)
        except ConfigError as error:
            first, *lines = str(error).splitlines()
            problems |= dict.fromkeys(lines or [f'  {first}'])
    if problems:
        raise ConfigError('\n'.join([f'{series.config} with values of the space:', *problems]))
