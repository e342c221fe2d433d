"""Fixtures used by many tests."""

from __future__ import annotations

import copy
import functools
import gc
import math
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import equivalence
import forked_python
import pytest

# MMEngine imports it. After an installation its first import writes a cache in the user's folder, in place:
# of processes that begin together, one would read what another has half written. This one begins first.
import yapf  # noqa: F401
from hypothesis import settings

from abawfw.progress import Progress

# The same examples in every run, so that a test passes or fails by what it tests; others are tried with
# --hypothesis-profile=default. A deadline would time the machine.
settings.register_profile('fixed', derandomize=True, deadline=None)
settings.load_profile('fixed')

ROOT = Path(__file__).resolve().parents[1]

# A job in the background of a script ignores Ctrl-C, and so does whatever it starts; tests that send it
# to processes of theirs want what a terminal gives.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope='session', autouse=True)
def no_progress_by_the_clock() -> Iterator[None]:
    """On a busy machine what prints nothing about its progress would print a line after half a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress.__init__, '__defaults__', (math.inf,))
        yield


@pytest.fixture(scope='session')
def shipped_configs_are_read_once() -> Iterator[None]:
    """An experiment is made of eight files, most of which others have as well."""
    from mmengine.config import Config

    read = Config._file2dict
    read_once = functools.cache(read)

    def file2dict(filename: str, *given: Any, **named: Any) -> Any:
        path = os.path.abspath(filename)
        if path.startswith(f'{ROOT}/configs/'):
            return copy.deepcopy(read_once(path, *given, **named))
        return read(filename, *given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Config, '_file2dict', staticmethod(file2dict))
        yield


def shared_dir() -> Path | None:
    """The folder with golden numbers and real data, if this machine has it."""
    path = Path(os.environ.get('ABAWFW_DATA', ROOT.parent / 'shared'))
    return path if (path / 'golden').is_dir() else None


@pytest.fixture(scope='session')
def shared() -> Path:
    """Root of the golden numbers and real data; skips the test where it is absent."""
    path = shared_dir()
    if path is None:
        pytest.skip('golden numbers and real data are absent: set ABAWFW_DATA to the folder with golden/')
    return path


@pytest.fixture(scope='session')
def golden(shared: Path) -> Path:
    """Golden numbers of the RUCAIM3 reference."""
    return shared / 'golden' / 'rucaim3'


@pytest.fixture(scope='session')
def golden_tagf(shared: Path) -> Path:
    """Golden numbers of TAGF and its family."""
    return shared / 'golden' / 'tagf'


@pytest.fixture(scope='session')
def golden_2025(shared: Path) -> Path:
    """Golden numbers of Mamba-VA, RAS and GRJCA, a folder each."""
    return shared / 'golden' / 'systems_2025'


@pytest.fixture(scope='session')
def golden_mamba_va(shared: Path) -> Path:
    """Golden numbers of Mamba-VA."""
    return shared / 'golden' / 'systems_2025' / 'mamba_va'


def pytest_configure(config: pytest.Config) -> None:
    """Processes that share the tests share what starts processes for them."""
    if config.getoption('numprocesses', None) and not hasattr(config, 'workerinput'):
        forked_python.start_for_all()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What modules are made of stays: Python need not search it for garbage over and over."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    needing = [item for item in items if item.get_closest_marker('gpu')]
    if not needing:
        return
    import torch

    if torch.cuda.is_available():
        return
    for item in needing:
        item.add_marker(pytest.mark.skip(reason='needs a CUDA device'))


TESTS_OF_THE_REFERENCE = {test for _, _, test in equivalence.ROWS}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Hold the tests of the reference numbers to what the pages say, but while the pages are written anew."""
    test = item.nodeid.partition('[')[0]
    if test not in TESTS_OF_THE_REFERENCE or 'EQUIVALENCE_OUT' in os.environ:
        return (yield)
    assert isinstance(item, pytest.Function)
    with equivalence.held(test, item.module):
        return (yield)
