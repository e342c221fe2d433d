"""What the commands of the pages are run with, made once."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from docs.doc_given import make_given


@pytest.fixture(scope='session')
def shared_if_there(request: pytest.FixtureRequest) -> Path | None:
    """Golden numbers and real data, None where they are absent."""
    try:
        return request.getfixturevalue('shared')
    except pytest.skip.Exception:
        return None


@pytest.fixture(scope='session')
def given(shared_if_there: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with everything that a reader is said to have; processes that share the tests share it."""
    place = tmp_path_factory.getbasetemp()
    if 'PYTEST_XDIST_WORKER' in os.environ:
        place = place.parent
    root, made = place / 'given', place / 'given_is_made'
    with (place / 'given_lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            make_given(root, shared_if_there)
            made.touch()
    return root
