"""Pages that are made from the code are those that the code makes now; the site builds without a warning."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from apis.command_line import ROOT
from docs.doc_pages import PAGES, page_name

AGAIN = 'make docs writes it anew'
LINK = re.compile(r'\]\((?!https?:|#)([^)#]+)')


@pytest.fixture(scope='module')
def generate() -> Iterator[ModuleType]:
    """docs/generate.py."""
    spec = importlib.util.spec_from_file_location('docs_generate', ROOT / 'docs/generate.py')
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'path', list(sys.path))
        spec.loader.exec_module(module)
        yield module


@pytest.mark.parametrize('name', ['command_lines.md', 'components.md', 'public_names.md'])
def test_the_page_is_what_the_code_says(generate: ModuleType, name: str) -> None:
    assert (ROOT / 'docs' / name).read_text() == generate.PAGES[name](), AGAIN


def test_the_tables_of_results_are_those_that_were_measured(generate: ModuleType) -> None:
    page = (ROOT / 'docs/results.md').read_text()
    names = [path.stem for path in generate.results.KEPT.glob('*.csv')]
    assert names
    for name in names:
        assert generate.with_table(page, name, generate.results.results_table(name)) == page, AGAIN


def test_every_tool_has_its_help(generate: ModuleType) -> None:
    page = (ROOT / 'docs/command_lines.md').read_text()
    for path in ROOT.glob('tools/**/*.py'):
        assert f'usage: {path.name} ' in page, path


def test_the_pages_name_the_tests_that_are_held_to_them(generate: ModuleType) -> None:
    limits = generate.equivalence.limits()  # tests/conftest.py compares them with what each test measures
    for test, limit in limits.items():
        path, _, name = test.partition('::')
        assert f'\ndef {name}(' in (ROOT / path).read_text(), test
        assert limit < 1, test


@pytest.mark.parametrize(
    ('difference', 'message'),
    [(1e-3, None), (2e-3, 'further from the reference'), (None, 'compares nothing')],
)
def test_a_test_is_held_to_what_its_page_says(
    generate: ModuleType, monkeypatch: pytest.MonkeyPatch, difference: float | None, message: str | None
) -> None:
    monkeypatch.setattr(generate.equivalence, 'limits', lambda: {'test': 1e-3})
    fails = pytest.raises(AssertionError, match=message) if message else nullcontext()
    with fails, generate.equivalence.held('test', sys.modules[__name__]):
        if difference is not None:
            np.testing.assert_allclose(difference, 0, atol=1)


def test_what_another_processor_measured_stays(generate: ModuleType) -> None:
    """Processors round differently: a page written anew on one of them would fail the tests on the next."""
    equivalence = generate.equivalence
    before = (ROOT / 'docs/tagf.md').read_text()
    nothing = {test: equivalence.Measured(0.0, [(0, 1e-5)]) for _, _, test in equivalence.ROWS}
    more = {test: equivalence.Measured(0.5, [(0, 1e-5)]) for _, _, test in equivalence.ROWS}
    differences = [row.split(' | ')[1] for row in equivalence.table('tagf', nothing).splitlines()[2:]]
    assert differences == [row[1] for row in equivalence._rows('tagf')]
    assert all(f'| {difference} |' in before for difference in differences)
    assert {row.split(' | ')[1] for row in equivalence.table('tagf', more).splitlines()[2:]} == {'1e0'}


@pytest.mark.parametrize(
    ('value', 'text'), [(0.0, '0'), (3.1e-7, '1e-6'), (1e-6, '1e-6'), (1.01e-6, '3e-6'), (2.9, '3e0')]
)
def test_differences_are_rounded_up(generate: ModuleType, value: float, text: str) -> None:
    assert generate.equivalence.rounded_up(value) == text


@pytest.mark.parametrize('text', ['nothing', '<!-- measured -->\na\n<!-- end -->\n' * 2])
def test_a_page_has_one_place_for_its_table(generate: ModuleType, text: str) -> None:
    with pytest.raises(ValueError, match='places between'):
        generate.with_table(text, 'measured', '| table |\n')


def test_the_site_builds_without_a_warning_and_needs_no_network(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(tmp_path / 'site')],
        cwd=ROOT,
        env=os.environ | {'NO_MKDOCS_2_WARNING': '1'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 'WARNING' not in done.stderr
    for source in (ROOT / 'docs').glob('*.md'):
        page = (tmp_path / 'site' / f'{source.stem}.html').read_text()
        assert f'href="{source.stem}.html"' in page or source.stem == 'index'  # in the navigation
        loaded = re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="([^"]+)"', page)
        assert loaded
        assert [address for address in loaded if address.startswith(('http:', 'https:', '//'))] == []


@pytest.mark.parametrize('page', PAGES, ids=page_name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(re.sub(r'```.*?```|`[^`]*`', '', page.read_text(), flags=re.DOTALL)):
        assert (page.parent / link).exists(), link


def test_every_tool_is_in_the_table_of_the_readme() -> None:
    table = set(re.findall(r'^\| `([\w/]+\.py)[ `]', (ROOT / 'README.md').read_text(), re.MULTILINE))
    assert table == {p.relative_to(ROOT / 'tools').as_posix() for p in ROOT.glob('tools/**/*.py')}
