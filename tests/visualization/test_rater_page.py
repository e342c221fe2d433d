"""The page of raters: its tables, and how it works in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from evaluation.made_ratings import ratings
from visualization.test_data_page import cells, headings

from abawfw.evaluation.functional import VideoRatings
from abawfw.evaluation.raters import CCCCentredMean, EvaluatorWeightedMean, RaterMean
from abawfw.evaluation.raters.assessment import Assessment, assess
from abawfw.groups import Groups
from abawfw.visualization.rater_page import rater_page

if TYPE_CHECKING:
    from browser import OpenPage

pytest_plugins = ['browser']
EVIL = '<img src=x onerror=alert(1)>'


@pytest.fixture(scope='module')
def found() -> list[Assessment]:
    """Three raters of six videos, of whom one rates something else; two have bad names."""
    videos = {}
    for name, video in ratings([0, 0, np.nan], seconds=30).items():
        raters = ('anna', EVIL, 'other')
        videos[f'{name}{EVIL}'] = VideoRatings(raters, video.values, video.times)
    first = next(iter(videos.values()))
    videos['alone'] = VideoRatings(('anna',), first.values[:1], first.times)
    rule = EvaluatorWeightedMean()
    return [assess(target, videos, rule, 3, Groups()) for target in ('valence', 'arousal')]


@pytest.fixture(scope='module')
def page(found: list[Assessment]) -> str:
    warnings = [line for of in found for line in of.warnings()]
    return rater_page('Raters', 'EvaluatorWeightedMean', found, warnings, ['a note']).render()


def test_what_stands_on_the_page(page: str, found: list[Assessment]) -> None:
    assert headings(page) == ['Overview', 'Warnings', 'Agreement', 'Delays', 'Videos']
    assert EVIL not in page
    assert 'valence: other disagrees: ' in page
    assert 'valence: one rater, anna, of alone' in page
    assert 'a note' in page
    rows = {row[0]: row for row in cells(page, 'Valence: each rater')}
    of = found[0].agreement.raters['anna']
    assert rows['anna'][1:3] == ['4,500', f'{of.ccc.value:.3f}']
    assert rows['anna'][-1] == f'{found[0].fused.weights["anna"]:.3f}'
    assert 'Valence: weight: fraction that the rater counts for the label.' in page
    (panel,) = cells(page, 'Valence: all raters of the same videos')
    assert panel[1:4] == ['6', '4,500', f'{found[0].agreement.panels[0].alpha.value:.3f}']
    assert len(cells(page, 'Delays')) == 6
    videos = {row[0]: row for row in cells(page, 'Videos, those with the least agreement first')}
    assert videos['alone'][2:6] == ['1', '–', '–', '–']


def test_one_rater_of_one_video_has_a_page_too() -> None:
    video = ratings([0], videos=1, seconds=10)['v0']
    alone = assess('valence', {'v': video}, RaterMean(), 3, Groups())
    page = rater_page('One', 'RaterMean', [alone], alone.warnings(), []).render()
    assert headings(page) == ['Overview', 'Warnings', 'Agreement', 'Videos']
    assert 'valence: no frame has two raters.' in page


def test_what_a_weight_weighs_where_it_is_not_the_label() -> None:
    videos = ratings([0, 0, np.nan], videos=1, seconds=10)
    found = assess('valence', videos, CCCCentredMean(), 3, Groups())
    page = rater_page('Level', 'CCCCentredMean', [found], [], []).render()
    said = (
        'weight: fraction that the rater counts for the level of each video only; the course of the label is'
    )
    assert said in page
    level, plain = found.fused.labels['v0'], videos['v0'].values.mean(axis=0)
    np.testing.assert_allclose(level - level.mean(), plain - plain.mean(), atol=1e-9)


@pytest.mark.slow
def test_the_page_in_a_browser(page: str, tmp_path: Path, open_page: OpenPage) -> None:
    path = tmp_path / 'raters.html'
    path.write_text(page)
    for width, scheme in ((1440, 'light'), (390, 'dark')):
        opened = open_page(path, width, scheme=scheme)
        opened.page.locator('tr[data-key="alone"]').click()
        opened.page.wait_for_function("document.querySelector('.curves h3').textContent == 'alone'")
        opened.screenshot(f'raters_{width}')
        assert opened.overflow <= 0
        assert width == 390 or opened.violations == []
        assert opened.errors == []
        assert opened.requests == [path.resolve().as_uri()]
