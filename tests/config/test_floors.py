"""Imports point down only: the floors of the house."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS: dict[str, float] = {
    'tools': 6,
    'benchmarks': 5.5,
    '__main__': 6,
    'apis': 5,
    'engine': 4,
    'series': 4,
    'submission': 4,
    'extraction': 4,
    'visualization': 4,
    'models': 3,
    'datasets': 3,
    'results': 3,
    'evaluation': 2,
    'config': 2,
    'registry': 1,
    'components': 1,
    'structures': 1,
    'groups': 1,
    'checkpoints': 1,
    'checkpoint_content': 0.75,
    'tensor_files': 0.5,
    'json_files': 0.5,
    'files': 0.25,
    'inert_pickle': 0,
    'errors': 0,
    'quick_mmengine': 0,
    'abawfw': 0,
}
ROOMS = ('abawfw', 'tools', 'benchmarks')
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob('*.py'))


def module_of(path: Path) -> str:
    return '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')


MODULES = {module_of(path) for path in FILES}


def room_of(module: str) -> str:
    parts = module.split('.')
    return parts[0] if parts[0] != 'abawfw' or len(parts) == 1 else parts[1]


def imports_of(source: str) -> Iterator[str]:
    """Modules of abawfw and tools that a source text imports, wherever the statement stands."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'line {node.lineno}: relative import'
            submodules = [f'{node.module}.{alias.name}' for alias in node.names]
            names = [name if name in MODULES else str(node.module) for name in submodules]
        yield from (name for name in names if name.split('.')[0] in ROOMS)


def is_allowed(importer: str, imported: str) -> bool:
    here, there = room_of(importer), room_of(imported)
    if here == there or FLOORS[there] < FLOORS[here]:
        return True
    return imported.startswith('abawfw.evaluation.functional')


def test_every_module_has_its_floor() -> None:
    assert {room_of(module) for module in MODULES} <= set(FLOORS)


@pytest.mark.parametrize('path', FILES, ids=lambda path: module_of(path))
def test_imports_point_down(path: Path) -> None:
    module = module_of(path)
    wrong = {imported for imported in imports_of(path.read_text()) if not is_allowed(module, imported)}
    assert wrong == set()


def test_the_rule_itself() -> None:
    assert is_allowed('tools.train', 'abawfw.apis.train')
    assert is_allowed('abawfw.engine.hooks', 'abawfw.evaluation.functional.ccc')
    assert is_allowed('abawfw.config.check', 'abawfw.config.loading')
    assert not is_allowed('abawfw.engine.hooks', 'abawfw.series.runs')
    assert not is_allowed('abawfw.datasets.loader', 'abawfw.models.estimator')
    assert not is_allowed('abawfw.structures', 'abawfw.registry')
    assert not is_allowed('abawfw.models.estimator', 'abawfw.apis.build')
    assert list(imports_of('def f():\n    from abawfw import registry')) == ['abawfw.registry']


LIGHT = (
    'abawfw',
    'abawfw.evaluation.functional',
    'abawfw.results.predictions',
    'abawfw.results.trial_files',
    'abawfw.datasets.stores',
)


def test_light_modules_import_nothing_heavy() -> None:
    heavy = "[m for m in ('torch', 'cv2', 'mmengine.runner') if m in sys.modules]"
    code = ['import sys', *(f'import {module}\nprint({module!r}, {heavy})' for module in LIGHT)]
    line = [sys.executable, '-c', '\n'.join(code)]
    result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [f'{module} []' for module in LIGHT]


def test_a_command_imports_no_part_of_mmengine_that_is_slow_and_not_used() -> None:
    """Sharded training and transformers take as long to import as all of the rest."""
    slow = "('transformers', 'torch.distributed.fsdp', 'torch.distributed.optim')"
    code = [
        'import sys, abawfw.apis.check_build, abawfw.apis.test, abawfw.apis.inferencer',
        f'print([m for m in {slow} if m in sys.modules])',
        'import mmengine.model.wrappers.fully_sharded_distributed as real',
        'print(real.MMFullyShardedDataParallel)',
    ]
    line = [sys.executable, '-c', '\n'.join(code)]
    result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    first, second = result.stdout.splitlines()
    assert first == '[]'
    assert second.startswith('<class')  # what was left out can be imported afterwards
