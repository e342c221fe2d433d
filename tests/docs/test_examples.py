"""The examples in docstrings do what they say; every name that a notebook would call has one."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import abawfw
from abawfw.apis import test as evaluate
from abawfw.apis import train
from abawfw.checkpoints import best_checkpoint
from abawfw.config import load_config
from abawfw.datasets import make_demo_data

CALLED = {
    'apis': ['VAInferencer', 'check_data', 'compare', 'test', 'train', 'write_run_report'],
    'config': ['config_diff', 'load_config', 'resolve'],
    'datasets': ['ArrayStore', 'make_demo_data', 'open_store', 'pack_store', 'read_facts'],
    'evaluation.functional': [
        *('assemble', 'bootstrap_ccc', 'calibration', 'ccc', 'moments', 'pcc', 'rmse', 'smooth', 'stretches'),
        *('rater_agreement', 'rater_delays'),
    ],
    'series': ['grid'],
    'submission': ['Ensemble'],
}
"""What a notebook would call, by room."""
LOGS = doctest.register_optionflag('LOGS')
"""Of an example that writes log lines, which differ from run to run."""


class Checker(doctest.OutputChecker):
    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return bool(optionflags & LOGS) or super().check_output(want, got, optionflags)


@pytest.fixture(scope='module', autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder as a reader has it: demo data, and two small runs that were trained and tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp('here'))
        make_demo_data('data/demo', videos=(3, 2, 1), scale=0.02)
        for name, seed in (('run', 0), ('other', 1)):
            run = Path('work_dirs', name)
            cfg = load_config('rucaim3/fclstm_xl_demo.py', {'epochs': 1, 'hidden': 8, 'seed': seed})
            train(cfg, run)
            best = {target: best_checkpoint(run, f'ccc_{target}') for target in cfg.targets}
            evaluate(cfg, best, run / 'predictions')
        yield


@pytest.mark.parametrize(('room', 'name'), [(room, name) for room, names in CALLED.items() for name in names])
def test_the_example_does_what_it_says(room: str, name: str) -> None:
    value = getattr(importlib.import_module(f'abawfw.{room}'), name)
    defining = vars(importlib.import_module(value.__module__))
    finder = doctest.DocTestFinder(recurse=False)
    (found,) = finder.find(value, name, globs=dict(defining))
    assert found.examples, f'{name} has no example'
    said: list[str] = []
    runner = doctest.DocTestRunner(Checker())
    runner.run(found, out=said.append)
    assert not runner.summarize(verbose=False).failed, ''.join(said)


ROOMS = [
    '.'.join(path.parent.relative_to(Path(abawfw.__file__).parents[1]).parts)
    for path in sorted(Path(abawfw.__file__).parent.rglob('__init__.py'))
]


@pytest.mark.parametrize('room', ROOMS)
def test_what_a_room_lists_is_there_and_says_what_it_is(room: str) -> None:
    module = importlib.import_module(room)
    for name in getattr(module, '__all__', ()):
        value = getattr(module, name)
        assert name in dir(module)
        assert not isinstance(value, type(module)), name
        assert value.__doc__, name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = module.nothing


def test_a_name_is_not_the_file_it_stands_in_whichever_is_imported_first() -> None:
    file = importlib.import_module('abawfw.apis.compare')
    from abawfw.apis import compare

    assert compare is file.compare
