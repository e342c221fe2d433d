"""Short runs on tiny data."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forked_python
import pytest
from tiny_runs import ROOT, Train, tiny_config, tiny_overrides

from abawfw.datasets.demo.rucaim3 import make_demo_data


@pytest.fixture(scope='session')
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 1,200 frames of train, 500 of val, 100 of test."""
    root = tmp_path_factory.mktemp('tiny') / 'demo'
    make_demo_data(root, videos=(5, 2, 1), scale=0.05)
    return root


@pytest.fixture(scope='session')
def server() -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'PYTHONWARNINGS': ''}
    script = Path(__file__).parent / 'train_server.py'
    with subprocess.Popen(
        [forked_python.python(), str(script), str(tiny_config('transformer'))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        yield process
        assert process.stdin
        process.stdin.close()


@pytest.fixture(scope='session')
def train(server: subprocess.Popen[str], tiny_data: Path) -> Train:
    """Train in a process of its own: train(work_dir, model='transformer', job={...}, **overrides)."""

    def run(
        work_dir: Path, model: str = 'transformer', job: dict[str, Any] | None = None, **overrides: Any
    ) -> dict[str, Any]:
        full = {
            'config': str(tiny_config(model)),
            'overrides': tiny_overrides(model, tiny_data, **overrides),
            'work_dir': str(work_dir),
            **(job or {}),
        }
        assert server.stdin
        assert server.stdout
        server.stdin.write(json.dumps(full) + '\n')
        server.stdin.flush()
        line = server.stdout.readline()
        assert line, 'the process that trains has died'
        return json.loads(line)

    return run


@pytest.fixture(scope='session')
def original(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three epochs, never changed."""
    run = tmp_path_factory.mktemp('original') / 'whole'
    found = train(run)
    assert found['codes'] == [0], found['output']
    return run
