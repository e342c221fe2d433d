"""What the commands of the pages are run with, made once."""

from __future__ import annotations

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
    """The folder with everything that a reader is said to have."""
    root = tmp_path_factory.mktemp('given')
    make_given(root, shared_if_there)
    return root
