"""Write the pages, and parts of pages, that are made from the code: ``make docs``.

command_lines.md from the options of every tool, components.md from the registries, public_names.md from what
each room lists. Tables between ``<!-- NAME -->`` and ``<!-- end -->``: in README.md what the shipped models
can do; in results.md what protocols came to; in the pages of the systems how far the tests are from the
numbers of the reference, where these numbers are.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import inspect
import io
import itertools
import os
import re
import runpy
import sys
import tokenize
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(DOCS), str(ROOT)]

import abilities  # noqa: E402
import equivalence  # noqa: E402
import results  # noqa: E402
from mmengine.registry import Registry  # noqa: E402

from abawfw import registry as registries  # noqa: E402

WIDTH = '100'  # of the help texts, whatever terminal this runs in


def command_lines() -> str:
    """The page of all command lines."""
    parts = [
        '# Command lines',
        'What every tool says with `--help`. Exit codes: 0; 2 with one message that says what is wrong; 130 '
        'when interrupted; 1 where a tool did its work and found something wrong (`check_data.py`), or where '
        'a part of it failed (`extract_features.py`, `cross_validate.py`, `sweep.py`).',
        'This page is made from the code by `make docs`.',
    ]
    for path in sorted(ROOT.glob('tools/**/*.py')):
        name = path.relative_to(ROOT).as_posix()
        parts.append(f'## {name}\n\n```text\n{help_of(path)}\n```')
    scripts = sorted(ROOT.glob('tools/*.sh'))
    parts += [f'## tools/{path.name}\n\n```text\n{_first_comment(path)}\n```' for path in scripts]
    return '\n\n'.join(parts) + '\n'


def help_of(tool: Path) -> str:
    """What a tool prints with --help."""
    printed, argv, columns = io.StringIO(), sys.argv, os.environ.get('COLUMNS')
    sys.argv = [str(tool.relative_to(ROOT)), '--help']
    os.environ['COLUMNS'] = WIDTH
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            runpy.run_path(str(tool), run_name='__main__')
    finally:
        sys.argv = argv
        os.environ.pop('COLUMNS')
        os.environ |= {} if columns is None else {'COLUMNS': columns}
    return printed.getvalue().strip()


def _first_comment(script: Path) -> str:
    """The comment that begins a shell script, behind its first line."""
    lines = script.read_text().splitlines()[1:]
    end = next(i for i, line in enumerate(lines) if not line.startswith('#'))
    return '\n'.join(line[2:] for line in lines[:end])


def components() -> str:
    """The page of all components, by registry."""
    parts = [
        '# Components',
        'Everything that a config can name, with its first line. `python tools/list.py` prints the same; the '
        "arguments are those of the class's constructor, and a config that names a wrong one is told the "
        'nearest right one. [Your model](your_model.md) shows how to add one of your own.',
        'This page is made from the registries by `make docs`.',
    ]
    lines_of = _tool('list').components
    remarks = _remarks()
    for name, registry in vars(registries).items():
        lines = lines_of(registry) if isinstance(registry, Registry) else []
        if lines:
            rows = [line.split(maxsplit=1) for line in lines]
            table = [f'| `{component}` | {_cell(text)} |' for component, text in rows]
            parts.append(
                f'## {name.lower()}\n\n{remarks[name]}\n\n'
                + '\n'.join(['| component | |', '| --- | --- |', *table])
            )
    return '\n\n'.join(parts) + '\n'


def public_names() -> str:
    """The page of what a user may import, by room."""
    parts = [
        '# Public names',
        'What may be imported, by room, with its first line: these names stay, whatever moves behind them. '
        'All registered components are listed under [Components](components.md). Importing a room does not '
        'import torch, except for `abawfw.models`. `help(NAME)` shows arguments, errors and an example.',
        'This page is made from the code by `make docs`.',
    ]
    for path in sorted((ROOT / 'abawfw').rglob('__init__.py')):
        module = importlib.import_module('.'.join(path.parent.relative_to(ROOT).parts))
        names = {name: getattr(module, name) for name in getattr(module, '__all__', ())}
        if module.__name__.count('.') > 1:  # a folder of components has a table on the other page
            names = {name: value for name, value in names.items() if not _is_component(value)}
        if names:
            about = (module.__doc__ or '').partition('\n')[0]
            lines = {n: _first_line(x) if callable(x) else _of_constant(path, n) for n, x in names.items()}
            rows = [f'| `{name}` | {_cell(line)} |' for name, line in lines.items()]
            table = '\n'.join(['| name | |', '| --- | --- |', *rows])
            parts.append(f'## {module.__name__}\n\n{about}\n\n{table}')
    return '\n\n'.join(parts) + '\n'


def _is_component(value: object) -> bool:
    found = [r for r in vars(registries).values() if isinstance(r, Registry)]
    return any(value is component for registry in found for component in registry.module_dict.values())


def _first_line(value: object) -> str:
    return (inspect.getdoc(value) or '').partition('\n')[0]


def _of_constant(room: Path, name: str) -> str:
    """First line of the text below a constant, in the module that the room takes it from."""
    imports = [node for node in ast.parse(room.read_text()).body if isinstance(node, ast.ImportFrom)]
    (module,) = {str(node.module) for node in imports if name in [alias.name for alias in node.names]}
    body = ast.parse(inspect.getsource(importlib.import_module(module))).body
    for node, below in itertools.pairwise(body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, 'target', None)]
        if name in [target.id for target in targets if isinstance(target, ast.Name)]:
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                return inspect.cleandoc(str(below.value.value)).partition('\n')[0]
            break
    raise ValueError(f'{module}: {name} is public and has no text below it that says what it is')


def _cell(text: str) -> str:
    """Text of a docstring within a table."""
    return text.replace('``', '`').replace('|', '\\|')


def _remarks() -> dict[str, str]:
    """What abawfw/registry.py says about each registry, in the first comment beside it."""
    source = Path(registries.__file__).read_text()
    comments = {
        token.start[0]: token.string.removeprefix('#').strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            here = [comments[k] for k in range(node.lineno, (node.end_lineno or 0) + 1) if k in comments]
            text = here[0] if here else ''
            found[node.targets[0].id] = f'{text[:1].upper()}{text[1:]}.' if text else ''
    return found


def _tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f'tools_{name}', ROOT / f'tools/{name}.py')
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def with_table(text: str, name: str, table: str) -> str:
    """A page with this table between its marks.

    Raises:
        ValueError: it has not one such place.
    """
    place = re.compile(rf'(?<=<!-- {name} -->\n).*?(?=<!-- end -->)', re.DOTALL)
    text, count = place.subn(lambda _: f'\n{table}\n', text)
    if count != 1:
        raise ValueError(f'{count} places between <!-- {name} --> and <!-- end -->, expected 1')
    return text


def write_table(path: Path, name: str, table: str) -> None:
    """Write a table into its place on a page."""
    path.write_text(with_table(path.read_text(encoding='utf-8'), name, table), encoding='utf-8')


PAGES = {'command_lines.md': command_lines, 'components.md': components, 'public_names.md': public_names}


def main() -> None:
    """Write everything."""
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), encoding='utf-8')
    table = abilities.abilities_table(abilities.shipped_abilities(ROOT / 'configs'))
    write_table(ROOT / 'README.md', 'abilities', f'{table}\n')
    for path in sorted(results.KEPT.glob('*.csv')):
        write_table(DOCS / 'results.md', path.stem, results.results_table(path.stem))
    if not equivalence.reference_numbers().is_dir():
        sys.stderr.write('the numbers of the reference systems are not here: their tables stay as they are\n')
        return
    measured = equivalence.measure()
    for name in ('rucaim3', 'tagf', 'mamba_va'):
        write_table(DOCS / f'{name}.md', 'measured', equivalence.table(name, measured))


if __name__ == '__main__':
    main()
