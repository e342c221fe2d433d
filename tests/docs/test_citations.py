"""What code, configs and pages cite is there for whoever has a clone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from apis.command_line import ROOT
from docs.doc_pages import page_name

ROOMS = ('abawfw', 'configs', 'docs', 'tools', 'tests')
SUFFIXES = {'.py', '.md', '.sh', '.toml', '.txt', '.yml', '.yaml', ''}
# Folders of reference data and notes that no clone has. CONTRIBUTING.md says where the numbers may lie.
ELSEWHERE = re.compile(r'(?<![\w/])(?:spec|shared|golden)/')
PAGE = re.compile(r'\bdocs/\w+\.md\b')
SECTION = re.compile(r'\b(docs/\w+\.md), (?=[A-Z])')
FILE = re.compile(r'(?<![\w/.])(?:configs|tests|tools)/[a-z_/\d]+\.(?:md|py|sh)\b')


def texts(*rooms: str) -> list[Path]:
    """Text files of these folders."""
    found = (path for room in rooms for path in (ROOT / room).rglob('*'))
    return sorted(p for p in found if p.is_file() and p.suffix in SUFFIXES and '__pycache__' not in p.parts)


def top_level() -> list[Path]:
    """Text files of the root, and what the continuous integration runs."""
    return sorted(p for p in [*ROOT.glob('*'), *ROOT.glob('.ci/*')] if p.is_file() and p.suffix in SUFFIXES)


def prose(text: str) -> str:
    """The text on one line, without what begins a comment's lines, so that citations may be wrapped."""
    return re.sub(r'\s*\n\s*(?:# )?', ' ', text)


def headings(page: Path) -> tuple[str, ...]:
    """The headings of a page."""
    return tuple(re.findall(r'^#+ (.+)$', page.read_text(encoding='utf-8'), re.MULTILINE))


def wrong_citations(text: str) -> list[str]:
    """Pages that do not exist, and sections that a page does not have."""
    line = prose(text)
    wrong = [page for page in PAGE.findall(line) if not (ROOT / page).exists()]
    for cited in SECTION.finditer(line):
        page = ROOT / cited[1]
        if page.exists() and not line[cited.end() :].startswith(headings(page)):
            wrong.append(line[cited.start() : cited.end() + 30])
    return wrong


@pytest.mark.parametrize('room', [*ROOMS[:-1], '.'])
def test_nothing_is_cited_that_a_clone_does_not_have(room: str) -> None:
    files = top_level() if room == '.' else texts(room)
    assert files
    found = {
        page_name(path): ELSEWHERE.findall(path.read_text(encoding='utf-8'))
        for path in files
        if path.name != 'CONTRIBUTING.md'
    }
    assert {name: places for name, places in found.items() if places} == {}


def test_cited_pages_and_sections_exist() -> None:
    files = [*texts(*ROOMS), *top_level()]
    found = {page_name(path): wrong_citations(path.read_text(encoding='utf-8')) for path in files}
    del found[page_name(Path(__file__))]
    assert {name: places for name, places in found.items() if places} == {}


def test_files_that_code_and_configs_cite_exist() -> None:
    for path in texts('abawfw', 'configs', 'tools'):
        for cited in FILE.findall(path.read_text(encoding='utf-8')):
            assert (ROOT / cited).exists(), f'{page_name(path)} cites {cited}'


@pytest.mark.parametrize(
    ('text', 'wrong'),
    [
        ('(docs/tagf.md, Models)', []),
        ('(docs/tagf.md,\n    # Models: TCN)', []),
        ('(docs/tagf.md, docs/rucaim3.md, The four\n    models)', []),
        ('(docs/tagf.md, No such thing)', ['docs/tagf.md, No such thing)']),
        ('(docs/no_page.md, Models)', ['docs/no_page.md']),
    ],
)
def test_wrong_citations_are_found(text: str, wrong: list[str]) -> None:
    assert wrong_citations(text) == wrong
