"""Fixtures used by many tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def shared_dir() -> Path | None:
    """The folder with golden numbers and real data, if this machine has it."""
    candidates = [Path(os.environ['ABAWFW_DATA'])] if 'ABAWFW_DATA' in os.environ else [ROOT.parent / 'shared']
    return next((c for c in candidates if (c / 'golden').is_dir()), None)


@pytest.fixture(scope='session')
def shared() -> Path:
    """Root of the golden numbers and real data; skips the test where it is absent."""
    path = shared_dir()
    if path is None:
        pytest.skip('golden numbers and real data are not here: set ABAWFW_DATA to the folder that has golden/')
    return path


@pytest.fixture(scope='session')
def golden(shared: Path) -> Path:
    """Golden numbers of the RUCAIM3 reference."""
    return shared / 'golden' / 'rucaim3'


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    if not any('gpu' in item.keywords for item in items):
        return
    import torch

    if torch.cuda.is_available():
        return
    for item in items:
        if 'gpu' in item.keywords:
            item.add_marker(pytest.mark.skip(reason='needs a CUDA device'))
