"""Every command and snippet of README.md, docs/, configs/*/README.md and work_dirs/README.md is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from apis.command_line import ROOT
from docs.doc_pages import PAGES, Item, is_command, items, page_name
from docs.doc_rules import NEEDS_SHARED, OPTIONS_OF
from docs.doc_sandbox import Sandbox

HELP_TEXTS = 'docs/command_lines.md'  # in which tools say themselves how they are called
RUN = [page for page in PAGES if page.name != 'get_started.md']  # which has a test of its own, word for word


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize('page', RUN, ids=page_name)
def test_commands_and_snippets(page: Path, tmp_path: Path, given: Path, shared_if_there: Path | None) -> None:
    box = Sandbox(tmp_path / 'clone', given, page_name(page))
    todo, wrong = items(page), []
    for i, item in enumerate(todo):
        if shared_if_there is None and item.kind != 'file' and NEEDS_SHARED.search(item.text):
            continue
        done = run_item(box, item, todo[i + 1 :], page_name(page))
        if done is not None:
            wrong.append(f'line {item.line}: {item.text}\n{done}')
    assert not wrong, '\n'.join([page_name(page), *wrong])


def run_item(box: Sandbox, item: Item, later: list[Item], page: str) -> str | None:
    """Run an item of a page; what went wrong, None if nothing did."""
    if item.kind == 'file':
        box.write(item.path or _named_later(box, later), item.text)
        return None
    if item.kind == 'text':
        hidden = [line for line in item.text.splitlines() if is_command(line) and page != HELP_TEXTS]
        return f'commands in a block that nothing runs: {hidden}' if hidden else None
    if item.kind == 'console':
        return _run_console(box, item.text)
    if item.kind == 'python':
        done = box.run_python(item.text)
    elif item.kind == 'options':
        done = box.run(f'{OPTIONS_OF[page]} {item.text} --check-only')
    else:
        tool = re.search(r'tools/[\w/]+\.\w+', item.text)
        if tool and not (ROOT / tool[0]).exists():
            return f'there is no {tool[0]}'
        done = box.run(item.text)
    return None if done.code == 0 else f'exit code {done.code}\n{done.output}'


def _run_console(box: Sandbox, text: str) -> str | None:
    """Run what stands behind ``$``: it must fail and say the rest, in which ... is any text."""
    command, _, expected = text.removeprefix('$ ').partition('\n')
    done = box.run(command, keep=True)
    pattern = '.*'.join(map(re.escape, expected.rstrip('\n').split('...')))
    pattern = pattern.replace('\n.*\\\n', '.*')
    said = re.fullmatch(pattern, done.output.rstrip('\n'), re.DOTALL)
    return None if done.code and said else f'exit code {done.code}, {done.output}'


def _named_later(box: Sandbox, later: list[Item]) -> str:
    """Where a config without a title is saved: the first config of the next command that is not there."""
    for item in later:
        for path in re.findall(r'configs/[\w/]+\.py', item.text):
            if not (box.folder / path).exists():
                return path
    raise AssertionError('the page does not say where this config is saved: give the block a title="PATH"')
