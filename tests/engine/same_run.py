"""Whether two runs ended with the same state, bit for bit."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch

from abawfw.checkpoints import load_checkpoint, resumable_checkpoints

TIMING = {'train_seconds', 'val_seconds', 'frames_per_second', 'time'}


def differences(a: Any, b: Any, place: str = '') -> list[str]:
    """Places where two nests of dicts, lists and tensors differ in one bit or more."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = (a.keys() | b.keys()) - TIMING
        return [d for k in keys for d in differences(a.get(k), b.get(k), f'{place}/{k}')]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        return [
            d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in differences(x, y, f'{place}/{i}')
        ]
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        same = a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b)
    else:
        same = type(a) is type(b) and a == b
    return [] if same else [place]


def assert_same_run(a: Path, b: Path) -> None:
    """Training state, best weights and figures of two finished runs are equal; times do not count."""
    newest = [resumable_checkpoints(run)[0] for run in (a, b)]
    assert newest[0].name == newest[1].name
    states = [load_checkpoint(path) for path in newest]
    for state in states:
        state['meta'].pop('config')
    found = [d for d in differences(*states) if 'TrainingMetricHook/counts' not in d]
    assert not found
    best = [sorted(p.name for p in run.glob('best_*')) for run in (a, b)]
    assert best[0] == best[1] != []
    for name in best[0]:
        assert not differences(*(load_checkpoint(run / name)['state_dict'] for run in (a, b)))
    assert rows(a) == rows(b) != []
    assert not list(b.glob('.*.tmp'))


def rows(run: Path) -> list[dict[str, str]]:
    """Rows of metrics.csv without times."""
    with (run / 'metrics.csv').open() as file:
        return [{k: v for k, v in row.items() if k not in TIMING} for row in csv.DictReader(file)]
