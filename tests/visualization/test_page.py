"""The foundation of all pages: escaping, tables, figures, and how they work in a browser."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from page_text import PageText

from abawfw.errors import DataError
from abawfw.visualization.blocks import (
    Column,
    Facts,
    Figure,
    Paragraph,
    Preformatted,
    SideBySide,
    Table,
)
from abawfw.visualization.embed import plot_text, to_json
from abawfw.visualization.page import Page

if TYPE_CHECKING:
    from browser import OpenPage

pytest_plugins = ['browser']
EVIL = '"><img src=x onerror=alert(1)></script><script>alert(2)</script><!-- \' &amp;'


def everything(text: str) -> Page:
    page = Page(text, text)
    table = Table(text, [Column(text, None, text, text), Column('n', '.2f')], [[text, 1.0]], keys=[text])
    figure = Figure({'data': [{'y': [1, 2], 'name': plot_text(text)}]}, text, text)
    page.section(text, table, SideBySide(figure, figure), Facts({text: text}), note=text)
    page.section(text, Paragraph(text), Paragraph(text, warning=True), Preformatted(text, text))
    return page


def test_no_text_becomes_markup() -> None:
    plain, evil = PageText(everything('plain').render()), PageText(everything(EVIL).render())
    assert evil.tags == plain.tags
    assert EVIL in evil.text
    values = [value for _, value in evil.attributes]
    assert values.count(EVIL) >= 4


def test_ids_are_unique() -> None:
    ids = [value for name, value in PageText(everything('same').render()).attributes if name == 'id']
    assert len(ids) == len(set(ids)) > 4


def test_json_in_scripts() -> None:
    value = {'a': np.array([1.0, np.nan, np.inf]), 'b': (np.int64(3), EVIL), 'c': 1 / 3}
    text = to_json(value)
    assert '<' not in text
    assert json.loads(text) == {'a': [1.0, None, None], 'b': [3, EVIL], 'c': 0.3333333}


def test_missing_values_come_last_both_ways() -> None:
    rows = [['a', None], ['b', 2.0], ['c', float('nan')], ['d', 10.0]]
    columns = [Column('name'), Column('n', '.1f')]
    for downwards, order in ((True, 'dbac'), (False, 'bdac')):
        table = Table('t', columns, rows, sort=(1, downwards), keys=list('abcd'))
        assert ''.join(row[0] for row in table.rows) == order
        assert ''.join(table.keys) == order
        assert f'aria-sort="{"descending" if downwards else "ascending"}"' in table.html('u')
    assert Table('t', columns, rows).html('u').count('–') == 2


def test_numbers_keep_their_digits_for_sorting() -> None:
    text = Table('t', [Column('share', '.1%')], [[1 / 3]]).html('u')
    assert re.search(r'data-value="0\.3333333333333333">33\.3%<', text)


def test_without_plotly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, 'plotly.offline', None)
    with pytest.raises(DataError, match=r'pip install -e \.\[report\]'):
        Page('title').write(tmp_path / 'page.html')
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_evil_texts_in_a_browser(open_page: OpenPage, tmp_path: Path) -> None:
    everything(EVIL).write(tmp_path / 'evil.html')
    opened = open_page(tmp_path / 'evil.html', 390)
    assert opened.errors == []
    assert opened.requests == [(tmp_path / 'evil.html').as_uri()]
    assert opened.page.title() == EVIL
    assert opened.page.locator('h1').text_content() == EVIL
    assert opened.page.locator('img').count() == 0
    for width in (390, 1440):
        opened.page.set_viewport_size({'width': width, 'height': 900})
        assert opened.overflow <= 0


@pytest.mark.slow
def test_the_network_is_forbidden(open_page: OpenPage, tmp_path: Path) -> None:
    """Whatever a text might smuggle in, the page's policy stops it."""
    Page('title').write(tmp_path / 'page.html')
    opened = open_page(tmp_path / 'page.html')
    found = opened.page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', (e) => e.name)")
    assert found == 'TypeError'
    assert 'Content Security Policy' in ' '.join(opened.errors)
    assert opened.requests == [(tmp_path / 'page.html').as_uri()]


@pytest.mark.slow
def test_no_button_sends_a_figure_away(open_page: OpenPage, tmp_path: Path) -> None:
    page = Page('title')
    page.section('s', Figure({'data': [{'y': [1, 2]}]}, 'a line'))
    page.write(tmp_path / 'page.html')
    opened = open_page(tmp_path / 'page.html')
    titles = opened.page.locator('.modebar-btn').evaluate_all('all => all.map(e => e.dataset.title)')
    assert 'Zoom' in titles
    assert not [title for title in titles if 'hare' in title or 'loud' in title]


@pytest.mark.slow
def test_tables_sort(open_page: OpenPage, tmp_path: Path) -> None:
    page = Page('title')
    rows = [['v10', 0.5], ['v9', -0.25], ['v1', None], ['v2', 1e-7]]
    page.section('s', Table('t', [Column('video'), Column('score', '.2f')], rows, sort=(1, True)))
    page.write(tmp_path / 'page.html')
    opened = open_page(tmp_path / 'page.html')

    def order() -> str:
        names = opened.page.locator('tbody th').all_text_contents()
        orders = opened.page.locator('thead th').evaluate_all('all => all.map(e => e.ariaSort)')
        return ' '.join([*names, *orders])

    video, score = opened.page.locator('thead button').all()
    assert order() == 'v10 v2 v9 v1 none descending'
    score.click()
    assert order() == 'v9 v2 v10 v1 none ascending'
    score.press('Enter')  # keys work as clicks do
    assert order() == 'v10 v2 v9 v1 none descending'
    video.press('Space')
    assert order() == 'v1 v2 v9 v10 ascending none'
    video.click()
    assert order() == 'v10 v9 v2 v1 descending none'
    assert opened.errors == []
