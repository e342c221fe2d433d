"""Pages of runs: what tools/report.py writes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from abawfw.errors import ConfigError
from abawfw.evaluation.tested_run import TestedRun


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
    out = out or run.path / 'report.html'
    check_out(out)
    run_page(run).write(out)
    return out


def check_out(out: Path) -> None:
    """Find out before the work whether a page can be written; its folder is made if it is not there.

    Raises:
        ConfigError: it cannot.
    """
    if out.is_dir():
        raise ConfigError(f'{out}: is a folder; name a file to write, such as {out / "report.html"}')
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise ConfigError(
            f'{out}: cannot be written ({error.strerror}); choose another file with --out'
        ) from error
