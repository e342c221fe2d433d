"""What a page asks its reader to type or to write: commands, Python, files and what is only shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from apis.command_line import ROOT

PAGES = [
    ROOT / 'README.md',
    *sorted(ROOT.glob('docs/*.md')),
    *sorted(ROOT.glob('configs/*/README.md')),
    ROOT / 'work_dirs/README.md',
]
# A line that begins with one of these is a command.
PROGRAMS = ('python', 'python3', 'pip', 'make', 'git', 'cd', '.', 'tools/', 'tensorboard', 'wandb', 'mlflow')
_FENCE = re.compile(r'^( *)```(\S*)(.*)$')
_INLINE = re.compile(r'`((?:\w+=\S+ )*(?:python )?tools/[\w/]+\.(?:py|sh) [^`]+|make [a-z]+)`')


class Item(NamedTuple):
    """One thing on a page.

    Attributes:
        kind: ``command``; ``console``, a command behind ``$`` and the error that it ends with; ``options`` of
            a command that the text names; ``python``; ``file`` to be written; ``text``, which is only shown.
        text: a command on one line, or the whole block.
        line: where it stands, from 1.
        path: of a file, as its title says; empty if the block has none.
    """

    kind: str
    text: str
    line: int
    path: str = ''


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def items(page: Path) -> list[Item]:
    """Everything on the page, in its order."""
    return list(_items(page.read_text(encoding='utf-8').splitlines()))


def _items(lines: list[str]) -> Iterator[Item]:
    i = 0
    while i < len(lines):
        fence = _FENCE.match(lines[i])
        if fence:
            end = next(k for k in range(i + 1, len(lines)) if lines[k].strip() == '```')
            block = [line.removeprefix(fence[1]) for line in lines[i + 1 : end]]
            yield from _fenced(fence[2], fence[3], block, i + 2)
            i = end + 1
        elif lines[i].startswith('    ') and (i == 0 or not lines[i - 1].strip()):
            end = i
            while end < len(lines) and (lines[end].startswith('    ') or not lines[end].strip()):
                end += 1
            yield from _indented([line[4:] for line in lines[i:end]], i + 1)
            i = end
        else:
            yield from (Item('command', found[1], i + 1) for found in _INLINE.finditer(lines[i]))
            i += 1


def _fenced(language: str, rest: str, block: list[str], line: int) -> Iterator[Item]:
    title = re.search(r'title="([^"]+)"', rest)
    text = '\n'.join(block) + '\n'
    if language == 'bash':
        yield from _commands(block, line)
    elif title:
        yield Item('file', text, line, title[1])
    elif language == 'python':
        yield Item('file' if text.startswith('_base_') else 'python', text, line)
    elif language == 'console':
        yield Item('console', text, line)
    else:
        assert language == 'text', f'line {line}: a block of ```{language}, which no test runs'
        yield Item('text', text, line)


def _indented(block: list[str], line: int) -> Iterator[Item]:
    if is_command(block[0]):
        yield from _commands(block, line)
    elif block[0].startswith('--'):
        for k, text in enumerate(block):
            if text.strip():
                yield Item('options', re.split(r' {2,}', text)[0], line + k)
    else:
        yield Item('text', '\n'.join(block).strip() + '\n', line)


def _commands(block: list[str], line: int) -> Iterator[Item]:
    waiting, begins = '', line
    for k, text in enumerate(block):
        begins = begins if waiting else line + k
        waiting += text.removesuffix('\\').strip() + ' '
        if not text.endswith('\\'):
            command = re.sub(r'(^|\s+)#.*$', '', waiting).strip()
            if command:
                yield Item('command', command, begins)
            waiting = ''


def is_command(line: str) -> bool:
    """Whether a line is meant to be typed."""
    words = re.sub(r'^(\w+=\S+ )+', '', line).split()
    return bool(words) and (words[0] in PROGRAMS or words[0].startswith('tools/'))
