"""Calls a command line of tools/ in this process, as ``python tools/NAME.py`` would."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import forked_python
import pytest

from abawfw.apis import cli

ROOT = Path(__file__).resolve().parents[2]

TINY = ['epochs=2', 'constant_epochs=1', 'lr=1e-3', 'hidden=16', 'regressor=[8]', 'segment_length=40']
TINY_TRANSFORMER = [*TINY, 'heads=2', 'ffn=16', 'layers=1']


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def call(capfd: pytest.CaptureFixture[str], tool: str, *arguments: Any) -> Outcome:
    """Exit code and what was printed."""
    spec = importlib.util.spec_from_file_location(f'tools_{tool}', ROOT / f'tools/{tool}.py')
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    capfd.readouterr()
    with pytest.raises(SystemExit) as leaving:
        cli.run(lambda: module.main([str(a) for a in arguments]))
    return Outcome(int(leaving.value.code or 0), *capfd.readouterr())


def call_apart(tool: str, *arguments: Any, folder: Path | None = None, timeout: float = 120) -> Outcome:
    """The same in a process of its own (see forked_python)."""
    found = forked_python.run([str(ROOT / f'tools/{tool}.py'), *map(str, arguments)], folder, timeout=timeout)
    return Outcome(found.returncode, found.stdout, found.stderr)
