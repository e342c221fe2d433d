"""The page that compares runs: what it holds, and how it works in a browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from command_line import call
from written_runs import LABELS, write_run

from abawfw.apis.compare import compare
from abawfw.apis.report import comparison_page
from abawfw.config.loading import load_config
from abawfw.evaluation.functional import ccc
from abawfw.results.predictions import write_predictions
from abawfw.results.run import Run
from abawfw.visualization.comparison_page import short_names

if TYPE_CHECKING:
    from browser import OpenPage

pytest_plugins = ['browser']
CONFIGS = Path(__file__).parents[2] / 'configs/rucaim3'


def with_config(run: Path, **overrides: object) -> Path:
    (run / 'config.py').write_text(load_config(CONFIGS / 'transformer_demo.py', overrides).pretty_text)
    return run


def cells(html: str, caption: str) -> list[list[str]]:
    """Texts of the cells of a table, row by row."""
    (body,) = re.findall(rf'<caption[^>]*>{re.escape(caption)}.*?<tbody>(.*?)</tbody>', html)
    return [re.findall(r'<t[hd][^>]*>(.*?)</t[hd]>', row) for row in re.findall(r'<tr.*?</tr>', body)]


def test_effect_of_a_video_is_the_difference_less_that_without_it(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, k, videos=5) for k, name in enumerate('ab')]

    def difference(left_out: int | None) -> float:
        kept = [k for k in range(5) if k != left_out]
        true = np.concatenate([LABELS[k] for k in kept])
        values = []
        for run in runs:
            preds = Run(run).predictions('arousal', 'smoothed')
            values.append(ccc(true, np.concatenate([preds[f'v{k:02}'] for k in kept])))
        return values[1] - values[0]

    expected = [difference(None) - difference(k) for k in range(5)]
    np.testing.assert_allclose(compare(runs).effects(1, 'arousal'), expected, atol=1e-10)


def test_the_page_tells_scores_differences_ensembles_and_configs(tmp_path: Path) -> None:
    a = with_config(write_run(tmp_path / 'a', 0, 0.1))
    b = with_config(write_run(tmp_path / 'b', 1, 0.5), lr=0.25)
    c = write_run(tmp_path / '<i>c', 2, 0.3)
    page = comparison_page([a, b, c]).render()
    assert page.count('<h1>') == 1
    assert '<i>c' not in page
    scores = cells(page, 'Scores of each run')
    true = np.concatenate(LABELS)
    for row, run in zip(scores, (a, b, c), strict=True):
        pred = np.concatenate(list(Run(run).predictions('valence', 'smoothed').values()))
        assert float(row[1]) == pytest.approx(ccc(true, pred), abs=1e-4)
    head = re.search(r'Videos, sorted by their part.*?</thead>', page, re.DOTALL)
    assert head is not None
    assert [head[0].count(f'part of {name}') >= 1 for name in ('b', '&lt;i&gt;c')] == [True, True]
    differences = cells(page, 'CCC of each run minus that of the baseline')
    assert [row[-1] for row in differences] == [score.verdict for score in compare([a, b, c]).scores]
    assert differences[0][-1] == 'worse'
    assert [row[0] for row in differences] == ['b'] * 3 + ['&lt;i&gt;c'] * 3
    for ensemble in re.findall(r'Weights by rule \w+: CCC [\d.]+', page):
        assert float(ensemble.split()[-1]) > 0.5
    assert len(re.findall(r'Weights by rule (mean|greedy)', page)) == 4
    assert 'b: 1 value differs' in page
    assert 'lr: 0.0005 -&gt; 0.25' in page
    assert '&lt;i&gt;c: the config of this run or of the baseline cannot be read.' in page


def test_one_video_is_too_few_and_the_page_says_so(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, k, videos=1) for k, name in enumerate('ab')]
    page = comparison_page(runs).render()
    assert 'No intervals and no p-values: 1 labelled video: an interval needs 5 or more.' in page
    assert 'Weights by rule greedy: cannot be measured on one video or group' in page


def test_runs_that_are_good_for_nothing_have_a_page(tmp_path: Path) -> None:
    labels = dict(zip('pqrst', LABELS, strict=False))
    for name, factor in (('a', -1), ('b', -0.5)):
        wrong = {v: factor * label for v, label in labels.items()}
        write_predictions(tmp_path / name / 'predictions', 'val', 'valence', wrong, labels, 0)
    page = comparison_page([tmp_path / 'a', tmp_path / 'b']).render()
    assert 'Weights by rule mean: CCC -0.' in page
    assert 'no run has a positive CCC' in page


@pytest.mark.slow
def test_in_a_browser(tmp_path: Path, open_page: OpenPage) -> None:
    runs = [with_config(write_run(tmp_path / name, k, 0.1 + 0.2 * k)) for k, name in enumerate('ab')]
    path = tmp_path / 'comparison.html'
    comparison_page(runs).write(path)
    for width in (1440, 390):
        opened = open_page(path, width)
        page = opened.page
        rows = page.locator('tr[data-key]')
        assert rows.count() == 12
        page.locator('tr[data-key=v07]').click()
        page.wait_for_function("document.querySelector('.curves h3').textContent == 'v07'")
        drawn = page.evaluate(
            "document.querySelector('.curves .plot').data.map(t => [t.name, t.y.length, t.y[5]])"
        )
        assert [name for name, *_ in drawn] == ['a', 'b', 'label'] * 2
        expected = [*(Run(run).predictions('valence')['v07'][5] for run in runs), LABELS[7][5]]
        assert [y for *_, y in drawn[:3]] == pytest.approx(expected, abs=1e-4)
        assert {length for _, length, _ in drawn} == {len(LABELS[7])}
        before = rows.all_text_contents()
        page.locator('th', has_text='frames').locator('button').click()
        assert rows.first.locator('th').text_content() == 'v11'
        assert sorted(rows.all_text_contents()) == sorted(before)
        assert opened.overflow <= 0
        opened.screenshot(f'comparison_{width}')
        assert opened.errors == []
        assert opened.requests == [path.resolve().as_uri()]


LONG = 'a_run_with_many_words_in_its_name_' * 5


@pytest.mark.slow
def test_many_runs_with_long_names_in_a_browser(tmp_path: Path, open_page: OpenPage) -> None:
    """Curves of different runs look different, the label lies on top, and names leave room for figures."""
    runs = [write_run(tmp_path / f'{LONG}{k}', k, 0.1) for k in range(12)]
    path = tmp_path / 'comparison.html'
    comparison_page(runs).write(path)
    compared = compare(runs)
    for width in (1440, 390):
        opened = open_page(path, width)
        page = opened.page
        curves = page.evaluate(
            "document.querySelector('.curves .plot').data.map(t => [t.name, t.line.color, t.line.dash])"
        )[:13]
        assert curves[-1][0] == 'label'
        assert len({tuple(look) for _, *look in curves}) == 13
        assert len({name for name, *_ in curves}) == 13
        scatter = page.evaluate(
            "document.querySelectorAll('.plot')[2].data.map(t => [t.name, t.marker.color, t.marker.symbol])"
        )
        assert [look[:2] for look in scatter] == [look[:2] for look in curves[1:-1]]
        assert len({tuple(look) for _, *look in scatter}) == 11
        # the heading stands above the legend, and that above the dots; the figures have most of the width
        for k in (2, 3):
            figure = page.locator('figure').nth(k)
            heading, legend, dots = (
                figure.locator(part).bounding_box() for part in ('h3', '.legend', '.nsewdrag')
            )
            assert heading['y'] + heading['height'] <= legend['y']
            assert legend['y'] + legend['height'] <= dots['y'] + 1
            assert dots['height'] > 200
        for k in (0, 1):
            assert page.locator('.plot').nth(k).locator('.nsewdrag').bounding_box()['width'] > width / 3
            ticks = page.locator('.plot').nth(k).locator('.ytick text').all_text_contents()
            assert ticks == [f'a_run_with_ma…{name[-14:]}' for name in (run.name for run in runs[k:])]
        text = page.evaluate("document.querySelector('.plot').data[0].text[11].replaceAll('<br>', '')")
        low, high, _ = compared.intervals['valence'][11]
        assert text == f'{runs[11].name}{compared.ccc(11, "valence"):.4f}, {low:.4f} to {high:.4f}'
        assert 'from run 6 on they are repeated' in page.locator('.note').all_text_contents()[2]
        assert opened.overflow <= 0
        assert opened.errors == []
        opened.screenshot(f'comparison_of_many_{width}')


def test_names_of_runs_beside_figures() -> None:
    assert short_names(['a', 'b' * 28]) == ['a', 'b' * 28]
    assert short_names(['x' * 20 + '1' * 20, 'y' * 30]) == [
        'x' * 13 + '…' + '1' * 14,
        'y' * 13 + '…' + 'y' * 14,
    ]
    alike = ['x' * 20 + middle + 'x' * 20 for middle in 'abc']
    assert len(set(short_names(alike))) == 3
    assert all(len(name) <= 28 for name in short_names(alike))


def test_the_command_line_writes_beside_the_first_run_or_where_it_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = [write_run(tmp_path / name, k) for k, name in enumerate('ab')]
    found = call(capfd, 'report', *runs)
    assert (found.code, found.err) == (0, '')
    assert found.out.startswith(f'written: {tmp_path / "comparison.html"} (')
    out = tmp_path / 'new/page.html'
    assert call(capfd, 'report', *runs, '--out', out).code == 0
    assert out.is_file()
    refused = call(capfd, 'report', *runs, '--out', tmp_path)
    assert (refused.code, 'name a file to write' in refused.err) == (2, True)
    other = write_run(tmp_path / 'c', 2, videos=9)
    refused = call(capfd, 'report', *runs, other, '--out', tmp_path / 'none.html')
    assert refused.code == 2
    assert f'valence: only {runs[0]} has the videos v09, v10, v11' in refused.err
    assert not (tmp_path / 'none.html').exists()
