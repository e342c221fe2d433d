"""Short runs on tiny data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from abawfw.datasets.demo import make_demo_data

ROOT = Path(__file__).resolve().parents[2]

TINY: dict[str, Any] = {
    'epochs': 3,
    'lr': 1e-3,
    'constant_epochs': 1,
    'hidden': 16,
    'heads': 2,
    'ffn': 16,
    'layers': 1,
    'regressor': [8],
    'segment_length': 40,
}
OF_MODEL = {
    'transformer': set(TINY),
    'fclstm_xl': set(TINY) - {'heads', 'ffn', 'layers'},
    'transformer_attention': set(TINY),
}

Train = Callable[..., dict[str, Any]]


def tiny_overrides(model: str, data: Path, **more: Any) -> dict[str, Any]:
    """Overrides that make a demo config tiny."""
    tiny = {k: v for k, v in TINY.items() if k in OF_MODEL[model]}
    return {'data_root': str(data), 'features': ['affectnet', 'egemaps'], **tiny, **more}


def tiny_config(model: str) -> Path:
    return ROOT / f'configs/rucaim3/{model}_demo.py'


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
        [sys.executable, str(script), str(tiny_config('transformer'))],
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
