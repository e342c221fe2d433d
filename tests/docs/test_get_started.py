"""A newcomer follows docs/get_started.md word for word, in a fresh clone; trainings take one epoch."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import forked_python
import pytest
from apis.command_line import ROOT
from docs.doc_pages import items
from docs.doc_rules import CHECKED
from docs.doc_sandbox import Sandbox

PAGE = ROOT / 'docs/get_started.md'


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """Variables with which ``python`` is the one that runs the tests, as after activating .venv, forked."""
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin/python').write_text(f'#!/bin/sh\nexec {forked_python.python()} "$@"\n')
    (tmp_path / 'bin/python').chmod(0o755)
    path = f'{tmp_path / "bin"}{os.pathsep}{os.environ["PATH"]}'
    return os.environ | {'PATH': path, 'PYTHONPATH': '', 'OMP_NUM_THREADS': '1'}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_word_for_word(
    tmp_path: Path, given: Path, shell: dict[str, str], shared_if_there: Path | None
) -> None:
    box = Sandbox(tmp_path / 'clone', tmp_path / 'nothing')
    (box.folder / 'abawfw').symlink_to(ROOT / 'abawfw')
    for item in items(PAGE):
        if item.kind == 'file':
            box.write(item.path, item.text)
            continue
        assert item.kind == 'command', f'line {item.line}: {item.text}'
        if any(re.fullmatch(pattern, item.text) for pattern, _, _ in CHECKED):
            done = box.run(item.text)
            assert done.code == 0, f'line {item.line}: {item.text}\n{done.output}'
            if item.text.startswith('git clone'):
                if shared_if_there is None:
                    break  # the rest is about what was cloned
                (box.folder / 'CEAP-360VR-Dataset').symlink_to(given / 'CEAP-360VR-Dataset')
            continue
        words = item.text
        if 'tools/train.py' in words and '--check-only' not in words:
            words += ' --cfg-options epochs=1 constant_epochs=1'
        found = subprocess.run(
            ['bash', '-euo', 'pipefail', '-c', words],
            cwd=box.folder, env=shell, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert found.returncode == 0, f'line {item.line}: {item.text}\n{found.stdout}{found.stderr}'
    page = (box.folder / 'comparison.html').read_text()
    assert page.startswith('<!DOCTYPE html>')
    for name in ('transformer_demo', 'two_features'):
        assert name in page
        assert (box.folder / 'work_dirs' / name / 'predictions/report.json').is_file()
