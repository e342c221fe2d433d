"""One small data set and one trained run for all command lines."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from command_line import ROOT, TINY_TRANSFORMER, call_apart
from saved_runs import TINY_RUCAIM3, save_run

from abawfw.datasets.demo.rucaim3 import make_demo_data

CONFIG = ROOT / 'configs/rucaim3/transformer_demo.py'


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes started by tests find the package, installed or not."""
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny models gain nothing from threads, which wait for one another on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope='session')
def demo_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('data') / 'demo'
    make_demo_data(root, videos=(4, 2, 1), scale=0.05)
    return root


@pytest.fixture
def spoilt(demo_data: Path, tmp_path: Path) -> Path:
    """A copy of the data set, to be spoilt."""
    return shutil.copytree(demo_data, tmp_path / 'spoilt')


@pytest.fixture(scope='session')
def one_table() -> Iterator[None]:
    """The exporter's table of operators is made once: every export makes a new one, in a second."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    table = staticmethod(functools.cache(ONNXRegistry.from_torchlib))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, 'from_torchlib', table)
        yield


@pytest.fixture(scope='session')
def lstm(one_table: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run with a checkpoint of its own for each target, and its file."""
    from abawfw.apis.export import export

    folder = tmp_path_factory.mktemp('lstm')
    dims = {'affectnet': 5, 'vggish': 3}
    run = save_run(folder, 'rucaim3/fclstm_xl_demo', dims, separate=True, **TINY_RUCAIM3)
    export(run, folder / 'out.onnx')
    return run, folder / 'out.onnx'


@pytest.fixture(scope='session')
def trained(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs, with what it printed in printed.txt."""
    folder = tmp_path_factory.mktemp('trained')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PYTHONPATH', str(ROOT))
        patch.setenv('OMP_NUM_THREADS', '1')
        found = call_apart(
            'train',
            *(CONFIG, '--data-root', demo_data, '--features', 'egemaps', 'affectnet', '--seed', 7, '--amp'),
            *('--cfg-options', *TINY_TRANSFORMER),
            folder=folder,
        )
    assert found.code == 0, found.err
    run = folder / 'work_dirs/transformer_demo'
    (run / 'printed.txt').write_text(f'{found.out}---\n{found.err}')
    return run
