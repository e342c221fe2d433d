"""Runs a script of tools/ in this process, which has imported what takes a script seconds to import."""

from __future__ import annotations

import contextlib
import io
import runpy
import subprocess
from pathlib import Path
from unittest import mock

TOOLS = Path(__file__).resolve().parents[1] / 'tools'


def tool_here(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """What ``python tools/NAME.py ARGUMENTS`` leaves with and prints."""
    words = [str(TOOLS / f'{name}.py'), *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        mock.patch('sys.argv', words),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            runpy.run_path(words[0], run_name='__main__')
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())
