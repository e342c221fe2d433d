"""Sweep: a run per combination of values of one config."""

from __future__ import annotations

from collections.abc import Sequence

from abawfw.apis.check import check_config
from abawfw.errors import ConfigError
from abawfw.files import write_text
from abawfw.series.launchers.base import Launcher, Report
from abawfw.series.runs import Series, SeriesResult, to_csv
from abawfw.series.sweep_space import Values, to_run, unknown_keys

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
    found = series.launch(runs, launcher, report)
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
