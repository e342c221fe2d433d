"""Pages of runs: what tools/report.py writes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from abawfw.apis.compare import compare
from abawfw.config.diff import config_diff
from abawfw.datasets.stores.kinds import find_store_kind
from abawfw.errors import ConfigError, DataError
from abawfw.files import check_writable
from abawfw.progress import Report, unseen
from abawfw.results.comparison import Comparison
from abawfw.results.run import STAGES, Run
from abawfw.submission.contribution import Contribution, contributions
from abawfw.visualization.comparison_page import ComparisonPage
from abawfw.visualization.page import Page, plotly_source

NAME = 'report.html'


def write_run_report(path: Path | str, out: Path | None = None, progress: Report = unseen) -> Path:
    """Write the page of a tested run.

    Args:
        path: work_dir of a run, or a folder of prediction files.
        out: file to write; None for ``report.html`` in the work_dir.
        progress: called with every file that is read, and before the page is drawn.

    Returns:
        The file, written whole or not at all.

    Raises:
        ConfigError: the file cannot be written.
        DataError: there are no predictions, or damaged ones; or plotly is not installed.

    >>> write_run_report('work_dirs/run').name
    'report.html'
    """
    from abawfw.visualization.run_page import run_page

    plotly_source()
    run = Run(path).require_val()
    files = list(product(run.targets, STAGES))
    for done, (target, stage) in enumerate(files):  # what is damaged is reported before a folder is made
        progress('reading predictions', done, len(files))
        run.predictions(target, stage)
    out = out or run.path / NAME
    check_page(out, NAME)
    progress('drawing the page', 0, 1)
    run_page(run).write(out)
    return out


def check_page(out: Path, example: str) -> None:
    """Find out before the work whether a page can be written to a file.

    Args:
        out: the file.
        example: a name for it.

    Raises:
        ConfigError: it cannot, or its name is not that of a page, such as a file of a run named by mistake.
    """
    if not out.is_dir() and out.suffix.lower() not in ('.html', '.htm'):
        raise ConfigError(f'--out {out}: a page has a name that ends in .html, such as {example}')
    check_writable(out, example, '--out')


def write_data_report(store: Path | str, out: Path | None = None, progress: Report = unseen) -> Path:
    """Look at all of a store and write its page, also where parts of the store are broken.

    Args:
        store: folder of the store.
        out: file to write; None for ``report.html`` in the store.
        progress: called now and then while the store is read.

    Returns:
        The file, written whole or not at all.

    Raises:
        ConfigError: the file cannot be written.
        DataError: there is no such folder, nothing in it that looks like a store, or plotly is not installed.
    """
    from abawfw.datasets.checking.facts import read_facts
    from abawfw.visualization.data_page import data_page

    find_store_kind(store)  # before a folder is made for the page
    out = out or Path(store) / NAME
    check_page(out, NAME)
    plotly_source()
    data_page(read_facts(store, lambda done, total: progress('reading the data', done, total))).write(out)
    return out


COMPARISON = 'comparison.html'
RULES = ('mean', 'greedy')  # plain, and the one that leaves runs out


def write_comparison(paths: Sequence[Path | str], out: Path | None = None, progress: Report = unseen) -> Path:
    """Write the page that compares the smoothed predictions of tested runs with those of the first.

    Args:
        paths: work_dirs, or folders of prediction files.
        out: file to write; None for ``comparison.html`` beside the first run.
        progress: called before each part of the work.

    Returns:
        The file, written whole or not at all.

    Raises:
        ConfigError: the file cannot be written; or see ``abawfw.apis.compare.compare``.
        DataError: runs cannot be compared, see there; or plotly is not installed.
    """
    plotly_source()
    progress('comparing the runs', 0, 2)
    page = comparison_page(paths)
    out = out or Path(paths[0]).resolve().parent / COMPARISON
    check_page(out, COMPARISON)
    progress('drawing the page', 1, 2)
    page.write(out)
    return out


def comparison_page(paths: Sequence[Path | str]) -> Page:
    """The page; raises as ``write_comparison``."""
    comparison = compare(paths)
    ensembles = {t: {rule: _ensemble(comparison, t, rule) for rule in RULES} for t in comparison.targets}
    first, *others = comparison.runs
    changes = {name: _changes(first, run) for name, run in zip(comparison.names[1:], others, strict=True)}
    return ComparisonPage(comparison, ensembles, changes).page()


def _ensemble(comparison: Comparison, target: str, rule: str) -> list[Sequence[Any]] | str:
    labels = comparison.runs[0].labels(target)
    named = zip(comparison.names, comparison.runs, strict=True)
    preds = {name: run.predictions(target, comparison.stage) for name, run in named}
    try:
        return [_row(c) for c in contributions(rule, labels, preds, comparison.groups)]
    except DataError as error:  # no run is good for anything; the rest of the page is
        return str(error)


def _row(c: Contribution) -> tuple[Any, ...]:
    return c.run, c.ccc, c.weight, c.together, c.without, c.adds, c.error_correlation


def _changes(baseline: Run, run: Run) -> list[str] | None:
    try:
        return config_diff(baseline.config, run.config)
    except ConfigError:
        return None
