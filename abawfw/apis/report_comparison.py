"""The page that compares tested runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from abawfw.apis.compare import compare
from abawfw.apis.progress import Report, unseen
from abawfw.apis.report import check_page
from abawfw.config_diff import config_diff
from abawfw.config_values import read_config
from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.comparison import Comparison
from abawfw.evaluation.tested_run import TestedRun
from abawfw.submission.contribution import Contribution, contributions
from abawfw.visualization.comparison_page import ComparisonPage
from abawfw.visualization.page import Page

NAME = 'comparison.html'
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
    progress('comparing the runs', 0, 2)
    page = comparison_page(paths)
    out = out or Path(paths[0]).resolve().parent / NAME
    check_page(out, NAME)
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
        return [_row(c) for c in contributions(rule, labels, preds)]
    except DataError as error:  # no run is good for anything; the rest of the page is
        return str(error)


def _row(c: Contribution) -> tuple[Any, ...]:
    return c.run, c.ccc, c.weight, c.together, c.without, c.adds, c.error_correlation


def _changes(baseline: TestedRun, run: TestedRun) -> list[str] | None:
    try:
        return config_diff(*(read_config(r.path / 'config.py') for r in (baseline, run)))
    except ConfigError:
        return None
