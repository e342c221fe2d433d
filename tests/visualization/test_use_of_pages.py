"""Using the pages of a run, of a comparison and of a data set: links, search, CSV, legends, dark mode, axe."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from abawfw.apis.report_comparison import comparison_page
from abawfw.datasets.facts import read_facts
from abawfw.datasets.stores.rucaim3_writer import RUCAIM3Writer
from abawfw.evaluation.face_file import write_faces
from abawfw.evaluation.prediction_files import write_predictions
from abawfw.evaluation.tested_run import TestedRun
from abawfw.evaluation.time_file import write_times
from abawfw.visualization.data_page import data_page
from abawfw.visualization.palette import DARK, GROUND, TARGETS
from abawfw.visualization.run_page import run_page

if TYPE_CHECKING:
    from browser import Opened, OpenPage

pytest_plugins = ['browser']
pytestmark = pytest.mark.slow
NAMES = ['Päivi, "one"', 'a/b#c', 'b', 'Clip 10', 'clip 9']
FPS = 25.0
UNEVEN = np.cumsum(np.random.default_rng(5).uniform(0.02, 0.06, 60))  # seconds of the frames of 'b'


def make_run(folder: Path, seed: int) -> Path:
    """Five videos, one without times and one with frames that are not evenly spaced; raw values reach 1.3."""
    rng = np.random.default_rng(seed)
    labels = {v: np.sin(np.arange(60 + 5 * i) / 9 + i) for i, v in enumerate(NAMES)}
    labels['b'] = labels['b'][:60]
    for target in TARGETS:
        preds = {v: 1.25 * y + rng.normal(0, 0.01, len(y)) for v, y in labels.items()}
        write_predictions(folder / 'predictions', 'val', target, preds, labels, 2)
    times: dict[str, Any] = {v: np.arange(len(y)) / FPS for v, y in labels.items()}
    write_times(folder / 'predictions', times | {'b': UNEVEN, 'clip 9': None})
    write_faces(folder / 'predictions', {v: np.arange(len(y)) // 10 != 1 for v, y in labels.items()})
    (folder / 'metrics.csv').write_text(
        'epoch,loss,val_loss,'
        + ','.join(f'train_ccc_{t},val_ccc_{t},val_ccc_{t}_smoothed' for t in TARGETS)
        + '\n'
        + ''.join(f'{i},{1 / i},{2 / i},' + ','.join(['0.5'] * 6) + '\n' for i in (1, 2, 3))
    )
    return folder


@pytest.fixture(scope='module')
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp('pages')
    runs = [make_run(folder / name, seed) for seed, name in enumerate(('first', 'second'))]
    with RUCAIM3Writer(folder / 'store', {'face': (2,)}) as writer:
        for i, name in enumerate(('x', 'y', 'z')):
            labels = np.tanh(np.random.default_rng(i).normal(size=(50, 2)).cumsum(axis=0) / 5)
            valid = {'face': np.arange(50) > 5}
            writer.add(
                name, 'val' if i else 'train', {'face': labels}, labels.astype(np.float32), valid, fps=FPS
            )
    built = {
        'run': run_page(TestedRun(runs[0])),
        'comparison': comparison_page(runs),
        'data': data_page(read_facts(folder / 'store')),
    }
    paths = {name: folder / f'{name}.html' for name in built}
    for name, page in built.items():
        page.write(paths[name])
    return paths


def shown(opened: Opened, video: str) -> None:
    opened.page.wait_for_function(
        'name => document.querySelector(".curves").dataset.video === name', arg=video
    )


def layout(opened: Opened, key: str) -> Any:
    return opened.page.evaluate(f'document.querySelector(".curves .plot").layout.{key}')


def trace(opened: Opened, curve: str) -> dict[str, Any]:
    script = 'curve => document.querySelector(".curves .plot").data.find((one) => one.meta === curve)'
    return opened.page.evaluate(script, curve)


@pytest.mark.parametrize('kind', ['run', 'comparison', 'data'])
def test_axe_finds_nothing(open_page: OpenPage, pages: dict[str, Path], kind: str) -> None:
    opened = open_page(pages[kind])
    assert opened.page.locator('.curves .plot .main-svg').count() > 0
    for scheme, ground in (('light', GROUND), ('dark', DARK[GROUND])):
        opened.page.emulate_media(color_scheme=scheme)
        opened.page.wait_for_function(
            """ground => [...document.querySelectorAll('.plot')].every(
                (plot) => plot.layout.template.layout.paper_bgcolor.replace('#fff', '#ffffff').slice(0, 7) === ground)""",
            arg=ground,
        )
        for width in (1440, 390):
            opened.page.set_viewport_size({'width': width, 'height': 900})
            assert opened.violations == []
            assert opened.overflow <= 0
            opened.screenshot(f'{kind}_{scheme}_{width}')
    assert opened.errors == []


def test_dark_figures_and_light_paper(open_page: OpenPage, pages: dict[str, Path]) -> None:
    opened = open_page(pages['run'], scheme='dark')
    page = opened.page
    color = 'getComputedStyle(document.body).backgroundColor'
    dark = tuple(int(DARK[GROUND][i : i + 2], 16) for i in (1, 3, 5))
    assert page.evaluate(color) == f'rgb{dark}'
    light_colors = 'JSON.stringify([...document.querySelectorAll(".plot")].map((plot) => plot.data))'
    drawn = page.evaluate(light_colors)
    assert DARK[TARGETS['valence']] in drawn
    assert not [color for color in DARK if f'"{color}"' in drawn]
    assert page.locator('.curves .legend svg path').first.get_attribute('stroke') in DARK.values()
    page.emulate_media(media='print')
    page.wait_for_function(f'{color} === "rgb(255, 255, 255)"')
    page.wait_for_function(f'({light_colors}).includes("{TARGETS["valence"]}")')
    assert opened.errors == []


def test_seconds_where_the_frame_rate_is_known(open_page: OpenPage, pages: dict[str, Path]) -> None:
    opened = open_page(pages['run'], fragment='#video=b')
    shown(opened, 'b')
    assert layout(opened, 'xaxis.title.text') == 'time (s)'
    found = trace(opened, 'valence label')
    np.testing.assert_allclose(found['x'], UNEVEN, atol=1e-3)
    assert found['customdata'] == list(range(60))
    low, high = layout(opened, 'yaxis.range')
    raw = np.array(trace(opened, 'valence raw')['y'])
    assert low < raw.min() < -1.05  # what lies beyond is in sight
    assert raw.max() < high
    opened.page.locator('tr[data-key="Clip 10"]').click()
    shown(opened, 'Clip 10')
    np.testing.assert_allclose(trace(opened, 'arousal raw')['x'], np.arange(75) / FPS, atol=1e-6)
    opened.page.locator('tr[data-key="clip 9"]').click()
    shown(opened, 'clip 9')
    assert layout(opened, 'xaxis.title.text') == 'frame'
    assert trace(opened, 'arousal raw')['x'] == list(range(80))


@pytest.mark.parametrize('width', [1440, 390])
def test_the_pointer_names_curves_and_covers_no_legend(
    open_page: OpenPage, pages: dict[str, Path], width: int
) -> None:
    opened = open_page(pages['run'], width, fragment='#video=Clip%2010')
    plot, legend = (opened.page.locator(f'.curves .{part}') for part in ('plot', 'legend'))
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    opened.page.mouse.move(box['x'] + box['width'] / 2, box['y'] + 50)
    opened.page.wait_for_selector('.curves .hoverlayer .legendtext')
    texts = plot.locator('.hoverlayer .legendtext').all_text_contents()
    assert [text.split(':')[0] for text in texts] == [
        f'{target} {curve}' for target in TARGETS for curve in ('raw', 'smoothed', 'label', 'residual')
    ]
    assert '(frame ' in texts[0]
    assert plot.locator('.hoverlayer').text_content().split(' s')[0].replace('.', '').isdigit()
    above = legend.bounding_box()
    for part in ('.hoverlayer .legend', '.modebar'):
        inside = plot.locator(part).first.bounding_box()
        assert inside['y'] >= above['y'] + above['height'] - 1, part


@pytest.mark.parametrize('kind', ['run', 'comparison', 'data'])
def test_every_line_is_in_its_legend(open_page: OpenPage, pages: dict[str, Path], kind: str) -> None:
    opened = open_page(pages[kind])
    found = opened.page.evaluate(
        """[...document.querySelectorAll('.plot')].map((plot) => [
            [...new Set(plot.data.filter((one) => one.name).map((one) => one.name))],
            [...plot.previousElementSibling.children].map((entry) => entry.textContent)])"""
    )
    assert all(sorted(names) == sorted(entries) for names, entries in found)
    if kind == 'run':
        train, ccc, smoothing = (entries for _, entries in found[:3])
        assert train == ['train', 'val']
        assert ccc == [f'{t}, {part}' for t in TARGETS for part in ('train', 'val smoothed', 'val raw')]
        assert smoothing == [f'{t}{more}' for t in TARGETS for more in ('', ', best')]


def test_a_click_in_the_legend_hides_a_line_until_the_next(
    open_page: OpenPage, pages: dict[str, Path]
) -> None:
    opened = open_page(pages['run'])
    entry = opened.page.locator('.curves .legend button', has_text='label')
    visible = """[...document.querySelectorAll('.curves .plot')].flatMap((plot) =>
        plot.data.filter((one) => one.name === 'label').map((one) => one.visible))"""
    assert opened.page.evaluate(visible) == [True, True]
    entry.click()
    assert opened.page.evaluate(visible) == [False, False]
    opened.page.locator('tr[data-key="b"]').click()
    shown(opened, 'b')
    assert opened.page.evaluate(visible) == [False, False]  # of the next video as well
    assert entry.get_attribute('aria-pressed') == 'false'
    entry.press('Enter')
    assert opened.page.evaluate(visible) == [True, True]


@pytest.mark.parametrize('name', NAMES)
def test_a_link_chooses_a_video_and_the_choice_gives_the_link(
    open_page: OpenPage, pages: dict[str, Path], name: str
) -> None:
    opened = open_page(pages['run'])
    row = opened.page.locator('tr[data-key]').nth(NAMES.index(name))
    key = row.get_attribute('data-key')
    assert '#' not in opened.page.url
    row.click()
    shown(opened, key)
    address = opened.page.url
    again = open_page(pages['run'], fragment=f'#{address.partition("#")[2]}')
    shown(again, key)
    assert again.page.locator('tr[aria-current=true]').get_attribute('data-key') == key
    assert again.page.locator('.curves').bounding_box()['y'] < 900  # in sight
    assert again.page.locator('.curves .title a').evaluate('link => link.href') == address
    again.page.evaluate('location.hash = "#video=b"')  # as if a link on the page were followed
    shown(again, 'b')


def test_a_link_to_a_video_that_is_not_there(open_page: OpenPage, pages: dict[str, Path]) -> None:
    opened = open_page(pages['data'], fragment='#video=%E0%A4%A')  # no UTF-8 either
    warning = opened.page.locator('.curves .warning')
    assert warning.text_content() == 'The link names the video %E0%A4%A, which is not on this page.'
    assert opened.page.locator('.curves h3').text_content() in ('x', 'y', 'z')
    opened.page.evaluate('location.hash = "#video=z"')
    shown(opened, 'z')
    assert warning.is_hidden()
    assert opened.errors == []


def test_search(open_page: OpenPage, pages: dict[str, Path]) -> None:
    opened = open_page(pages['run'])
    box, rows = opened.page.get_by_label('Search'), opened.page.locator('tr[data-key]:visible')
    box.fill('CLIP')
    assert sorted(rows.evaluate_all('all => all.map((one) => one.dataset.key)')) == ['Clip 10', 'clip 9']
    assert opened.page.locator('.tools [role=status]').text_content() == '2 of 5'
    first = rows.first.get_attribute('data-key')
    box.press('Enter')
    shown(opened, first)
    rows.first.press('ArrowDown')
    assert opened.page.evaluate('document.activeElement.dataset.key') == rows.nth(1).get_attribute('data-key')
    rows.nth(1).press('ArrowDown')  # the rows after it are hidden
    assert opened.page.evaluate('document.activeElement.dataset.key') == rows.nth(1).get_attribute('data-key')
    box.fill('')
    assert rows.count() == 5


@pytest.mark.parametrize('kind', ['run', 'data'])
def test_tables_are_saved_as_csv(open_page: OpenPage, pages: dict[str, Path], kind: str) -> None:
    opened = open_page(pages[kind])
    table = opened.page.locator('.table', has=opened.page.locator('tr[data-key]'))
    opened.page.get_by_label('Search').fill('nothing has this name')  # all rows are saved all the same
    with opened.page.expect_download() as download:
        table.locator('.csv').click()
    assert download.value.suggested_filename.endswith('.csv')
    text = Path(download.value.path()).read_text(encoding='utf-8', newline='')
    head, *rows = csv.reader(io.StringIO(text, newline=''), strict=True)
    shown_rows = table.locator('tbody tr').evaluate_all(
        "all => all.map((row) => [...row.cells].map((cell) => cell.dataset.value ?? ''))"
    )
    assert rows == shown_rows
    if kind == 'run':
        assert head[:4] == ['video', 'frames', 'no face', 'all targets RMSE']
        assert sorted(row[0] for row in rows) == sorted(NAMES)
        assert all(float(row[2]) == 10 / int(row[1]) for row in rows)  # all digits
    assert opened.requests[0] == pages[kind].as_uri()
    assert not [address for address in opened.requests[1:] if not address.startswith('blob:')]
    assert opened.errors == []
