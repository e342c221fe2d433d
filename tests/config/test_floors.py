"""The floors of the house: imports point down only and never in a circle; one idea stands in one file."""

from __future__ import annotations

import ast
import re
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
    'devices': 1,
    'prediction_files': 0.75,
    'checkpoint_content': 0.75,
    'tensor_files': 0.5,
    'json_files': 0.5,
    'text_files': 0.4,
    'files': 0.25,
    'inert_pickle': 0,
    'conventions': 0,
    'errors': 0,
    'progress': 0,
    'quick_mmengine': 0,
    'lazy': 0,
    'abawfw': 0,
}
ROOMS = ('abawfw', 'tools', 'benchmarks')
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob('*.py'))


def module_of(path: Path) -> str:
    return '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')


MODULES = {module_of(path) for path in FILES}
PACKAGES = {module_of(path) for path in FILES if path.name == '__init__.py'}
TREES = {module_of(path): ast.parse(path.read_text()) for path in FILES}
LINES = {module_of(path): len(path.read_text().splitlines()) for path in FILES}
MOST_LINES = 400
ONE_CLIENT = {
    'abawfw.extraction.speech.voice': 'that speech is heard, whoever speaks',
    'abawfw.models.convert.mamba_va': 'checkpoints of one system, as the files beside it',
    'abawfw.models.convert.ras': 'the same',
    'abawfw.series.study': 'a search and its file, in the room of many runs',
    'abawfw.engine.work_dir_lock': 'a lock between processes is an idea of its own, in the room of one run',
}
"""Modules that only one other imports, each with the reason why it does not stand in that one."""


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


def listed(package: str) -> dict[str, str]:
    """Where the names that a room's __init__.py lists stand: {name: module}."""
    return {
        alias.name: str(node.module)
        for node in ast.walk(TREES[package])
        if isinstance(node, ast.ImportFrom) and node.module in MODULES
        for alias in node.names
    }


LISTED = {package: listed(package) for package in PACKAGES}


def edges(module: str) -> set[str]:
    """Modules whose code a module needs: a name that a room lists counts for the module that defines it.

    Not for a module of this room, which must not ask the room's __init__.py: it imports them all.
    """
    found = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            package = str(node.module)
            for alias in node.names:
                place = LISTED.get(package, {}).get(alias.name)
                while place in PACKAGES and alias.name in LISTED[place]:
                    place = LISTED[place][alias.name]
                if place and not module.startswith(f'{package}.'):
                    found.add(place)
                elif f'{package}.{alias.name}' in MODULES:
                    found.add(f'{package}.{alias.name}')
                else:
                    found.add(package)
    return found - {module}


EDGES = {module: edges(module) for module in MODULES}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Files that import one another, directly or through others: strongly connected parts of the graph."""
    reached: dict[str, set[str]] = {}
    for module in graph:
        seen: set[str] = set()
        waiting = list(graph[module])
        while waiting:
            other = waiting.pop()
            if other not in seen:
                seen.add(other)
                waiting += graph[other]
        reached[module] = seen
    parts = {
        tuple(sorted(other for other in graph if other in reached[module] and module in reached[other]))
        for module in graph
        if module in reached[module]
    }
    return [list(part) for part in sorted(parts)]


def test_no_file_imports_itself_by_way_of_others() -> None:
    assert circles(EDGES) == []
    assert circles({'a': {'b'}, 'b': {'c'}, 'c': {'a'}, 'd': {'a'}}) == [['a', 'b', 'c']]


def test_a_file_is_no_longer_than_an_idea() -> None:
    assert {module: lines for module, lines in LINES.items() if lines > MOST_LINES} == {}


def only_client(module: str) -> str | None:
    """The one module of the package that imports this one; None where it has more, or stands for itself.

    A module stands for itself if it holds a registered component or a name that a room lists for users, or if
    a command line calls it.
    """
    registers = any(
        isinstance(node, ast.Attribute) and node.attr == 'register_module' for node in ast.walk(TREES[module])
    )
    public = any(module in names.values() for names in LISTED.values())
    clients = {other for other in MODULES if module in EDGES[other]} - {'abawfw.__main__'}
    if registers or public or len(clients) > 1 or any(room_of(client) == 'tools' for client in clients):
        return None
    return next(iter(clients), '')


def test_what_one_module_needs_stands_in_it() -> None:
    """Unless both together were longer than a file may be."""
    modules = sorted(MODULES - PACKAGES - {'abawfw.__main__'})
    only = {
        module: only_client(module) for module in modules if room_of(module) not in ('tools', 'benchmarks')
    }
    apart = {
        module: client
        for module, client in only.items()
        if client is not None and LINES[module] + LINES.get(client, 0) <= MOST_LINES
    }
    assert sorted(apart) == sorted(ONE_CLIENT), apart


LIGHT = (
    'abawfw',
    'abawfw.evaluation.functional',
    'abawfw.apis',
    'abawfw.config',
    'abawfw.datasets',
    'abawfw.results',
    'abawfw.prediction_files',
    'abawfw.results.predictions',
    'abawfw.results.run',
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


def paths_of_commands() -> dict[str, list[str]]:
    """The files that CONTRIBUTING.md lists for each command, the command's own first."""
    section = (ROOT / 'CONTRIBUTING.md').read_text().split('## Follow a command')[1].split('\n## ')[0]
    rows = [re.findall(r'`([\w/]+)\.py`', line) for line in section.splitlines()]
    return {row[0]: [row[0], *(f'abawfw/{name}' for name in row[1:])] for row in rows if row}


@pytest.mark.parametrize('command', paths_of_commands())
def test_a_command_is_followed_through_few_files(command: str) -> None:
    """At most twelve, each imported by one before it, or a registered part."""
    path = paths_of_commands()[command]
    assert len(path) <= 12
    modules = [name.replace('/', '.') for name in path]
    for number, module in enumerate(modules[1:], 1):
        registered = any(isinstance(n, ast.ClassDef) and n.decorator_list for n in TREES[module].body)
        assert registered or any(module in edges(before) for before in modules[:number]), module
