"""One self-contained HTML page."""

from __future__ import annotations

import importlib
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import abawfw
from abawfw.errors import DataError
from abawfw.files import write_text
from abawfw.visualization.blocks import Block
from abawfw.visualization.embed import escape, to_json
from abawfw.visualization.palette import DARK

ASSETS = Path(__file__).parent / 'assets'
SCRIPTS = ('page.js', 'legend.js', 'table.js', 'curve_browser.js')
# The browser itself then blocks whatever would go over the network.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


class Page:
    """A page of sections, each a heading and blocks, that needs no network and no other file.

    Every text is plain text: it is escaped where it goes into HTML or a script.

    Args:
        title: heading of the page and name of its tab.
        intro: a sentence or two below it.

    >>> from abawfw.visualization.blocks import Column, Figure, Table
    >>> page = Page('A run', 'What it does.')
    >>> table = Table('Scores', [Column('target'), Column('CCC', '.3f')], [['valence', 0.5]], sort=(1, True))
    >>> line = Figure({'data': [{'y': [1, 2]}]}, label='A line that rises from 1 to 2')
    >>> page.section('Scores', table, line, note='Higher is better.')
    >>> page.render().startswith('<!DOCTYPE html>')
    True
    """

    def __init__(self, title: str, intro: str = '') -> None:
        self.title = title
        self.intro = intro
        self._sections: list[tuple[str, str, tuple[Block, ...]]] = []

    def section(self, heading: str, *blocks: Block, note: str = '') -> None:
        """Add a section.

        Args:
            heading: also its entry in the list of contents.
            blocks: tables, figures and so on, one below the other (``SideBySide`` for a row).
            note: how to read it, below the heading.
        """
        self._sections.append((heading, note, blocks))

    def render(self) -> str:
        """The whole page.

        Raises:
            DataError: plotly is not installed.
        """
        contents, sections = [], []
        for number, (heading, note, blocks) in enumerate(self._sections):
            uid = f's{number}-{re.sub("[^a-z0-9]+", "-", heading.lower()).strip("-")}'
            contents.append(f'<li><a href="#{uid}">{escape(heading)}</a></li>')
            text = f'<p class="note">{escape(note)}</p>' if note else ''
            body = '\n'.join(block.html(f'b{number}-{i}') for i, block in enumerate(blocks))
            title = f'<h2 id="{uid}">{escape(heading)}</h2>'
            sections.append(f'<section aria-labelledby="{uid}">{title}{text}\n{body}</section>')
        nav = f'<nav aria-label="Contents"><ul>{"".join(contents)}</ul></nav>'
        dark = f'<script type="application/json" id="dark-colors">{to_json(DARK)}</script>'
        scripts = [
            f'<script>{plotly_source()}</script>',
            *(f'<script>{asset(name)}</script>' for name in SCRIPTS),
        ]
        return document(self.title, self.intro, nav, ''.join(sections), '\n'.join([dark, *scripts]))

    def write(self, path: Path) -> None:
        """Write the page, whole or not at all.

        Raises:
            DataError: plotly is not installed.
            OSError: the file cannot be written.
        """
        write_text(path, self.render())


def document(
    title: str, intro: str, nav: str, main: str, scripts: str, css: str = '', policy: str = ''
) -> str:
    """The frame of every page, around what is particular to it.

    Args:
        title: heading of the page and name of its tab, plain text.
        intro: below it, plain text.
        nav: HTML of the list of contents, or nothing.
        main: HTML of the page.
        scripts: script elements.
        css: beside that of all pages.
        policy: what the page may load beside what all pages may, in the words of a Content-Security-Policy.
    """
    written = datetime.now(UTC).strftime('%Y-%m-%d %H:%M UTC')
    below = f'<p class="intro">{escape(intro)}</p>' if intro else ''
    return '\n'.join(
        [
            '<!DOCTYPE html>',
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f'<title>{escape(title)}</title>',
            f'<style>{asset("page.css")}{css}</style></head><body>',
            f'<header><h1>{escape(title)}</h1>{below}',
            f'{nav}</header>',
            f'<main>{main}</main>',
            f'<footer>Written by abawfw {escape(abawfw.__version__)} on {written}.</footer>',
            scripts,
            '</body></html>\n',
        ]
    )


@cache
def asset(name: str) -> str:
    """A file of ``assets/``."""
    return (ASSETS / name).read_text(encoding='utf-8')


def plotly_source() -> str:
    """The source of plotly.js; who writes a page after long work asks for it before.

    Raises:
        DataError: plotly is not installed.
    """
    try:
        offline = importlib.import_module('plotly.offline')
    except ImportError as error:
        raise DataError(
            f'a page needs plotly, which cannot be imported ({error}): pip install -e .[report]'
        ) from error
    return str(offline.get_plotlyjs())
