"""A folder that looks like a fresh clone, in which the commands of a page are run one after another."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import forked_python
from apis.command_line import ROOT
from docs.doc_rules import CHECKED, GIVEN, PLACEHOLDERS, PLACEHOLDERS_OF, SHORTENED, TINY
from tool_here import tool_here

from abawfw.apis.compare_configs import read_protocol
from abawfw.config.loading import load_config

COPIED = ('configs', 'tools', 'setup.py', 'constraints.txt', 'Makefile', 'README.md', 'docs')
# Tools whose last path is a folder that they make.
MAKERS = (
    'make_demo_data',
    'affwild2',
    'ceap360vr',
    'extract_features',
    'extract_embeddings',
    'pack_features',
)


class Outcome(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    output: str


def run_tool(folder: Path, words: list[str], variables: Mapping[str, str] | None = None) -> Outcome:
    """Run ``python tools/NAME.py ARGUMENTS`` in the folder (see forked_python)."""
    here = {'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'COLUMNS': '100'}
    done = forked_python.run(words, folder, {**os.environ, **here, **(variables or {})}, merged=True)
    return Outcome(done.returncode, done.stdout)


class Sandbox:
    """A copy of what a clone holds, with what a reader is said to have already.

    Args:
        folder: to make.
        given: where the things of GIVEN lie; those that it has are linked.
        page: whose commands these are.
    """

    def __init__(self, folder: Path, given: Path, page: str = '') -> None:
        self.folder = folder
        self.placeholders = PLACEHOLDERS | PLACEHOLDERS_OF.get(page, {})
        folder.mkdir()
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copy(source, folder / name)
        for name in GIVEN:
            if (given / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                if name.startswith('work_dirs/'):
                    shutil.copytree(given / name, folder / name)
                else:
                    (folder / name).symlink_to(given / name)

    def write(self, path: str, text: str) -> None:
        """Write what the page has its reader write."""
        file = self.folder / path
        assert file.resolve().is_relative_to(self.folder.resolve()), f'{path} leads out of the clone'
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(shorter(text))

    def run(self, command: str, keep: bool = False) -> Outcome:
        """Run a command of a page, or check it as the rules say; ``keep`` what is there already."""
        for pattern, how, _ in CHECKED:
            if re.fullmatch(pattern, command):
                return globals()[f'check_{how}'](command)
        command = shortened(command, self.placeholders)
        words = shlex.split(command)
        variables = {}
        while re.match(r'\w+=', words[0]):
            name, _, value = words.pop(0).partition('=')
            variables[name] = os.pathsep.join(str(self.folder / part) for part in value.split(os.pathsep))
        if words[0] == 'python':
            words.pop(0)
        if not re.fullmatch(r'tools/[\w/]+\.py', words[0]):
            return Outcome(1, 'no rule of doc_rules.py says how this is run or checked')
        if not keep:
            self._make_room(words)
        return run_tool(self.folder, words, variables)

    def run_python(self, text: str) -> Outcome:
        """Run a snippet as a script of its own."""
        (self.folder / 'tools/snippet.py').write_text(text)
        try:
            return run_tool(self.folder, ['tools/snippet.py'], {'PYTHONPATH': str(self.folder)})
        finally:
            (self.folder / 'tools/snippet.py').unlink()

    def _make_room(self, words: list[str]) -> None:
        """A command that makes something finds nothing there that was only given."""
        stem, paths = Path(words[0]).stem, [w for w in words[1:] if w.startswith(('data/', 'work_dirs/'))]
        made = paths[-1:] if stem in MAKERS else []
        if stem == 'train' and '--resume' not in words:
            work_dir = words[words.index('--work-dir') + 1] if '--work-dir' in words else None
            made = [work_dir or f'work_dirs/{Path(words[1]).stem}'] if '--check-only' not in words else []
        for path in (self.folder / name for name in made):
            if path.is_symlink():
                path.unlink()
            elif path.is_dir() and path.relative_to(self.folder).as_posix() in GIVEN:
                shutil.rmtree(path)


def shorter(text: str) -> str:
    """A command or the content of a file, as the rules say."""
    for pattern, new, _ in SHORTENED:
        text = re.sub(pattern, new, text)
    return text


def shortened(command: str, placeholders: Mapping[str, str]) -> str:
    """The command with placeholders filled in and sizes as the rules say."""
    for name in sorted(placeholders, key=len, reverse=True):
        command = re.sub(rf'(?<![\w/.]){re.escape(name)}(?![\w/])', placeholders[name], command)
    command = shorter(command)
    if not re.search(r'tools/(train|cross_validate|sweep)\.py', command) or '--check-only' in command:
        return command
    sizes = next((text for pattern, text in TINY if re.search(pattern, command)), None)
    if sizes is None:
        return f'{command} (no sizes in TINY)'
    before, given, after = command.partition(' --cfg-options ')
    return f'{before} --cfg-options {sizes}{" " + after if given else ""}'


def check_nothing(command: str) -> Outcome:
    """It is fine."""
    return Outcome(0, '')


def check_install(command: str) -> Outcome:
    """``pip install -c constraints.txt -e .[extra]``: the extras are those of setup.py."""
    match = re.fullmatch(
        r'pip install (?:-c constraints\.txt )?-e \.(?:\[([\w,]+)\])?', command.replace("'", '')
    )
    if match is None:
        return Outcome(1, 'not pip install [-c constraints.txt] -e .[EXTRA,...]')
    known = set(re.findall(r"^        '(\w+)': ", (ROOT / 'setup.py').read_text(), re.MULTILINE))
    unknown = set((match[1] or '').split(',')) - known - {''}
    return Outcome(
        int(bool(unknown)), f'setup.py has no extra {", ".join(sorted(unknown))}' if unknown else ''
    )


def check_make(command: str) -> Outcome:
    """``make TARGET``: the Makefile has it."""
    target = command.split()[1]
    found = re.search(rf'^{target}:', (ROOT / 'Makefile').read_text(), re.MULTILINE)
    return Outcome(0, '') if found else Outcome(1, f'the Makefile has no target {target}')


def check_clone(command: str) -> Outcome:
    """``git clone URL``: the folder that it makes is one that the pages are given."""
    name = shlex.split(command)[-1].rstrip('/').rpartition('/')[2]
    return Outcome(0, '') if name in GIVEN else Outcome(1, f'{name} is not in GIVEN')


def check_usage(command: str) -> Outcome:
    """``tools/benchmark.py WHAT|WHAT CONFIG --option``: every word and option is one that it has."""
    text = tool_here(re.search(r'tools/(\w+)\.py', command)[1], '--help').stdout
    words = re.findall(r"--[\w-]+|(?<![\w/.'-])[a-z]+(?=[|\s]|$)", command.partition('.py ')[2])
    unknown = [word for word in words if not re.search(rf'(?<![\w-]){word}(?![\w-])', text)]
    return Outcome(int(bool(unknown)), f'it knows no {", ".join(unknown)}' if unknown else '')


def check_protocol(command: str) -> Outcome:
    """``tools/compare_configs.py PROTOCOL``: a protocol, whose configs can be read."""
    protocol = read_protocol(ROOT / command.split()[2])
    for entry in protocol.configs.values():
        load_config(entry.config)
    return Outcome(0, '')


def check_script(command: str) -> Outcome:
    """``tools/NAME.sh A B C``: the script says in its first lines that it takes these."""
    return (
        Outcome(0, '') if command in (ROOT / command.split()[0]).read_text() else Outcome(1, 'not its usage')
    )
