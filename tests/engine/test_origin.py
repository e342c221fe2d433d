"""What is recorded of the code and the machine that train a run."""

from __future__ import annotations

import getpass
import json
import platform
import subprocess
from pathlib import Path

import pytest

from abawfw.engine.hooks import summary_hook as origin


def git(folder: Path, *words: str) -> str:
    identity = ('-c', 'user.name=x', '-c', 'user.email=x@example.org')
    done = subprocess.run(
        ['git', '-C', str(folder), *identity, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a package and one commit, taken for that of abawfw."""
    (tmp_path / 'abawfw').mkdir()
    (tmp_path / 'abawfw/code.py').write_text('a = 1\n')
    git(tmp_path, 'init', '-q')
    git(tmp_path, 'add', '.')
    git(tmp_path, 'commit', '-q', '-m', 'first')
    monkeypatch.setattr(origin, 'CHECKOUT', tmp_path.resolve())
    return tmp_path


def test_the_commit_and_whether_the_code_differs_from_it(checkout: Path) -> None:
    commit = git(checkout, 'rev-parse', 'HEAD')
    (checkout / 'notes.txt').write_text('not code')
    assert origin.code_version() == {'commit': commit, 'dirty': False}
    (checkout / 'abawfw/code.py').write_text('a = 2\n')
    assert origin.code_version() == {'commit': commit, 'dirty': True}
    git(checkout, 'checkout', '-q', '.')
    (checkout / 'abawfw/new.py').write_text('b = 1\n')
    assert origin.code_version() == {'commit': commit, 'dirty': True}


def test_a_package_inside_of_the_checkout_of_another_project(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = checkout / '.venv/lib/site-packages'
    installed.mkdir(parents=True)
    monkeypatch.setattr(origin, 'CHECKOUT', installed.resolve())
    assert origin.code_version() is None


def test_without_git(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PATH', str(checkout))
    assert origin.code_version() is None


def test_the_machine_without_its_name_or_that_of_its_user() -> None:
    found = origin.machine()
    assert set(found) == {'os', 'cpu', 'cores', 'memory', 'gpus', 'torch', 'cuda'}
    assert found['cores'] >= 1
    assert found['memory'] is None or found['memory'] > 1e8
    assert platform.system() in found['os']
    words = json.dumps(found).replace(',', ' ').replace('"', ' ').split()
    assert platform.node() not in words
    assert getpass.getuser() not in words
