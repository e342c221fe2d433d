"""Using pages of a run, a comparison and a data set: links, search, CSV, legends, dark mode, axe."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from abawfw.apis.report import comparison_page
from abawfw.datasets.checking.facts import read_facts
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer
from abawfw.results.predictions import write_predictions
from abawfw.results.run import Run
from abawfw.results.side_files import write_faces, write_times
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
    steps = {'val': {target: ['MeanSmoothing(window=2)'] for target in TARGETS}}
    (folder / 'predictions/report.json').write_text(json.dumps({'postprocess': steps, 'rows': {}}))
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
        'run': run_page(Run(runs[0])),
        'comparison': comparison_page(runs),
        'data': data_page(read_facts(folder / 'store')),
    }
    paths = {name: folder / f'{name}.html' for name in built}
    for name, page in built.items():
        page.write(paths[name])
    return paths


@pytest.fixture(scope='module')
def opened(request: pytest.FixtureRequest, open_for_all: OpenPage, pages: dict[str, Path]) -> Opened:
    """A page opened once, for all tests of its kind; one that changes what is shown brings it back."""
    return open_for_all(pages[request.param])


@pytest.fixture
def run(opened: Opened) -> Iterator[Opened]:
    """The page of a run, on a light screen of usual width before and after."""
    yield opened
    opened.page.emulate_media(media='screen', color_scheme='light')
    opened.page.set_viewport_size({'width': 1440, 'height': 900})


def of(*kinds: str) -> pytest.MarkDecorator:
    """The pages that a test is about."""
    return pytest.mark.parametrize('opened', kinds, indirect=True)


def shown(opened: Opened, video: str) -> None:
    opened.page.wait_for_function(
        'name => document.querySelector(".curves").dataset.video === name', arg=video
    )


def follow(opened: Opened, video: str) -> None:
    """As if a link on the page were followed."""
    opened.page.evaluate('name => { location.hash = `#video=${encodeURIComponent(name)}`; }', video)
    shown(opened, video)


def layout(opened: Opened, key: str) -> Any:
    return opened.page.evaluate(f'document.querySelector(".curves .plot").layout.{key}')


def trace(opened: Opened, curve: str) -> dict[str, Any]:
    script = 'curve => document.querySelector(".curves .plot").data.find((one) => one.meta === curve)'
    return opened.page.evaluate(script, curve)


GROUNDS = '[...document.querySelectorAll(".plot")].map((plot) => plot.layout.template.layout.paper_bgcolor)'
DATA = 'JSON.stringify([...document.querySelectorAll(".plot")].map((plot) => plot.data))'


@of('run', 'comparison', 'data')
def test_axe_finds_nothing(opened: Opened) -> None:
    assert opened.page.locator('.curves .plot .main-svg').count() > 0
    for scheme, ground, checked in (('dark', DARK[GROUND], 390), ('light', '#fff', 1440)):
        opened.page.emulate_media(color_scheme=scheme)
        opened.page.wait_for_function(f'() => {GROUNDS}.every((ground) => ground === "{ground}")')
        for width in (390, 1440):
            opened.page.set_viewport_size({'width': width, 'height': 900})
            # colours do not depend on the width, nor the layout on colours
            assert width != checked or opened.violations == []
            assert opened.overflow <= 0
            if scheme == 'dark':
                opened.screenshot(f'{opened.path.stem}_dark_{width}')
    assert opened.errors == []


@of('run')
def test_figures_are_dark_with_the_system_and_light_on_paper(run: Opened) -> None:
    page = run.page
    page.emulate_media(color_scheme='dark')
    page.wait_for_function(f'() => ({DATA}).includes("{DARK[TARGETS["valence"]]}")')
    drawn = page.evaluate(DATA)
    assert not [color for color in DARK if f'"{color}"' in drawn]
    swatch = page.locator('.curves div.legend svg path').first
    assert swatch.get_attribute('stroke') in DARK.values()
    background = 'getComputedStyle(document.body).backgroundColor'
    assert page.evaluate(background) == f'rgb{tuple(int(DARK[GROUND][i : i + 2], 16) for i in (1, 3, 5))}'
    page.emulate_media(media='print')
    page.wait_for_function(f'() => ({DATA}).includes("{TARGETS["valence"]}")')
    assert page.evaluate(background) == 'rgb(255, 255, 255)'
    assert run.errors == []


@of('run')
def test_seconds_where_the_frame_rate_is_known(run: Opened) -> None:
    follow(run, 'b')
    assert layout(run, 'xaxis.title.text') == 'time (s)'
    found = trace(run, 'valence label')
    np.testing.assert_allclose(found['x'], UNEVEN, atol=1e-3)
    assert found['customdata'] == list(range(60))
    follow(run, 'Clip 10')
    np.testing.assert_allclose(trace(run, 'arousal raw')['x'], np.arange(75) / FPS, atol=1e-6)
    # frames 10 to 19 are without a face; a frame reaches to the middle between it and its neighbours
    path = layout(run, 'shapes[0].path')
    assert [float(x) for x in re.findall(r'[MH]([\d.]+)', path)] == pytest.approx([9.5 / FPS, 19.5 / FPS])
    follow(run, 'clip 9')
    assert layout(run, 'xaxis.title.text') == 'frame'
    assert trace(run, 'arousal raw')['x'] == list(range(80))


@of('data')
def test_seconds_on_the_page_of_a_data_set(opened: Opened) -> None:
    follow(opened, 'y')
    assert layout(opened, 'xaxis.title.text') == 'time (s)'
    np.testing.assert_allclose(trace(opened, 'valence')['x'], np.arange(50) / FPS, atol=1e-6)


@of('run')
def test_no_value_lies_outside_of_the_axis(run: Opened) -> None:
    follow(run, 'b')
    low, high = layout(run, 'yaxis.range')
    raw = np.array(trace(run, 'valence raw')['y'])
    assert low < raw.min() < -1.05
    assert 1.05 < raw.max() < high


def point_at(opened: Opened, plot: Any) -> None:
    """Move the pointer over a plot until it names what is there: one that is drawn anew forgets it."""
    from playwright.sync_api import TimeoutError as TimedOut

    for _ in range(60):
        box = plot.bounding_box()
        opened.page.mouse.move(0, 0)
        opened.page.mouse.move(box['x'] + box['width'] / 2, box['y'] + 50)
        try:
            opened.page.wait_for_selector('.curves .hoverlayer .legendtext', timeout=1000)
        except TimedOut:
            continue
        return
    raise AssertionError('nothing is named')


@of('run')
def test_the_pointer_names_curves_and_covers_no_legend(run: Opened) -> None:
    follow(run, 'Clip 10')
    plot, legend = run.page.locator('.curves .plot'), run.page.locator('.curves div.legend')
    for width in (390, 1440):
        run.page.set_viewport_size({'width': width, 'height': 900})
        plot.scroll_into_view_if_needed()
        point_at(run, plot)
        texts = plot.locator('.hoverlayer .legendtext').all_text_contents()
        assert [text.split(':')[0] for text in texts] == [
            f'{target} {curve}' for target in TARGETS for curve in ('raw', 'smoothed', 'label', 'residual')
        ]
        assert '(frame ' in texts[0]
        above = legend.bounding_box()
        for part in ('.hoverlayer .legend', '.modebar'):
            assert plot.locator(part).first.bounding_box()['y'] >= above['y'] + above['height'] - 1, part
        assert (
            plot.evaluate('plot => getComputedStyle(plot).overflow') == 'hidden'
        )  # nothing of it leaves the box
        run.page.mouse.move(0, 0)
        run.page.wait_for_selector('.curves .hoverlayer .legendtext', state='detached')


@of('run', 'comparison', 'data')
def test_every_line_is_in_its_legend(opened: Opened) -> None:
    found = opened.page.evaluate(
        """[...document.querySelectorAll('.plot')].map((plot) => [
            [...new Set(plot.data.filter((one) => one.name).map((one) => one.name))],
            [...plot.previousElementSibling.children].map((entry) => entry.textContent)])"""
    )
    assert all(sorted(names) == sorted(entries) for names, entries in found)
    if opened.path.stem == 'run':
        loss, ccc, smoothing = (entries for _, entries in found[:3])
        assert loss == ['train', 'val']
        assert ccc == [f'{t}, {part}' for t in TARGETS for part in ('train', 'val smoothed', 'val raw')]
        assert smoothing == [f'{t}{more}' for t in TARGETS for more in ('', ', best', ', in use')]


@of('comparison')
def test_runs_differ_in_dash_and_mark(opened: Opened) -> None:
    first, second = (trace(opened, f'{k} valence') for k in range(2))
    assert (first['mode'], first['line']['dash']) == ('lines', 'solid')
    assert (second['mode'], second['line']['dash']) == ('lines+markers', 'dash')
    assert second['marker']['symbol'] != 'circle'


@of('run')
def test_a_click_in_the_legend_hides_a_line_until_the_next(run: Opened) -> None:
    entry = run.page.locator('.curves div.legend button', has_text='label')
    visible = """[...document.querySelectorAll('.curves .plot')].flatMap((plot) =>
        plot.data.filter((one) => one.name === 'label').map((one) => one.visible))"""
    assert run.page.evaluate(visible) == [True, True]
    entry.click()
    assert run.page.evaluate(visible) == [False, False]
    follow(run, NAMES[0])
    assert run.page.evaluate(visible) == [False, False]  # of the next video as well
    assert entry.get_attribute('aria-pressed') == 'false'
    entry.press('Enter')
    assert run.page.evaluate(visible) == [True, True]


@of('run')
def test_the_choice_gives_the_link_that_chooses_it(run: Opened) -> None:
    for name in NAMES:
        run.page.locator('tr[data-key]').nth(NAMES.index(name)).click()
        key = run.page.locator('tr[aria-current=true]').get_attribute('data-key')
        shown(run, key)
        address = run.page.url.partition('#')[2]
        assert run.page.locator('.curves .title a').evaluate('link => link.hash') == f'#{address}'
        follow(run, 'b')
        run.page.evaluate('address => { location.hash = address; }', address)
        shown(run, key)
    last = run.page.url.partition('#')[2]
    run.load(f'#{last}')
    shown(run, key)
    assert run.page.locator('tr[aria-current=true]').get_attribute('data-key') == key
    assert 0 <= run.page.locator('.curves').bounding_box()['y'] < 900  # in sight


@of('data')
def test_a_link_to_a_video_that_is_not_there(opened: Opened) -> None:
    opened.load('#video=%E0%A4%A')  # no UTF-8 either
    warning = opened.page.locator('.curves .warning')
    assert warning.text_content() == 'The link names the video %E0%A4%A, which is not on this page.'
    assert opened.page.locator('.curves h3').text_content() in ('x', 'y', 'z')
    follow(opened, 'z')
    assert warning.is_hidden()
    assert opened.errors == []


@of('run')
def test_search(run: Opened) -> None:
    box, rows = run.page.get_by_label('Search'), run.page.locator('tr[data-key]:visible')
    box.fill('CLIP')
    assert sorted(rows.evaluate_all('all => all.map((one) => one.dataset.key)')) == ['Clip 10', 'clip 9']
    assert run.page.locator('.tools [role=status]').text_content() == '2 of 5'
    first = rows.first.get_attribute('data-key')
    box.press('Enter')
    shown(run, first)
    last = rows.nth(1).get_attribute('data-key')
    rows.first.press('ArrowDown')
    assert run.page.evaluate('document.activeElement.dataset.key') == last
    rows.nth(1).press('ArrowDown')  # the rows after it are hidden
    assert run.page.evaluate('document.activeElement.dataset.key') == last
    box.fill('')
    assert rows.count() == 5


@of('run', 'data')
def test_tables_are_saved_as_csv(opened: Opened) -> None:
    table = opened.page.locator('.table', has=opened.page.locator('tr[data-key]'))
    opened.page.get_by_label('Search').fill('nothing has this name')  # all rows are saved all the same
    with opened.page.expect_download() as download:
        table.locator('.csv').click()
    opened.page.get_by_label('Search').fill('')
    assert download.value.suggested_filename.endswith('.csv')
    text = Path(download.value.path()).read_text(encoding='utf-8')
    head, *rows = csv.reader(io.StringIO(text, newline=''), strict=True)
    assert rows == table.locator('tbody tr').evaluate_all(
        "all => all.map((row) => [...row.cells].map((cell) => cell.dataset.value ?? ''))"
    )
    if opened.path.stem == 'run':
        assert head[:4] == ['video', 'frames', 'no face', 'all targets RMSE']
        assert sorted(row[0] for row in rows) == sorted(NAMES)
        assert all(float(row[2]) == 1 - (int(row[1]) - 10) / int(row[1]) for row in rows)  # all digits
    addresses = {address for address in opened.requests if not address.startswith('blob:')}
    assert addresses == {opened.path.as_uri()}
    assert opened.errors == []
