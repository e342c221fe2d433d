"""Pages of runs: what tools/report.py writes."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from abawfw.apis.progress import Report, unseen
from abawfw.errors import ConfigError
from abawfw.evaluation.tested_run import STAGES, TestedRun
from abawfw.files import check_writable

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
    """
    from abawfw.visualization.run_page import run_page

    run = TestedRun(path)
    files = list(product(run.targets, STAGES))
    for done, (target, stage) in enumerate(files):  # what is damaged is told before a folder is made
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
