"""Pages of runs: what tools/report.py writes."""

from __future__ import annotations

from pathlib import Path

from abawfw.evaluation.tested_run import TestedRun
from abawfw.files import check_writable

NAME = 'report.html'


def write_run_report(path: Path | str, out: Path | None = None) -> Path:
    """Write the page of a tested run.

    Args:
        path: work_dir of a run, or a folder of prediction files.
        out: file to write; None for ``report.html`` in the work_dir.

    Returns:
        The file, written whole or not at all.

    Raises:
        ConfigError: the file cannot be written.
        DataError: there are no predictions, or damaged ones; or plotly is not installed.
    """
    from abawfw.visualization.run_page import run_page

    run = TestedRun(path)
    out = out or run.path / NAME
    check_writable(out, NAME, '--out')
    run_page(run).write(out)
    return out
