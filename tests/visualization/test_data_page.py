"""The page of a data set: what it tells, of broken stores too, and how it works in a browser."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from abawfw.datasets.checking.check import check_store
from abawfw.datasets.checking.facts import read_facts
from abawfw.datasets.demo.rucaim3 import make_demo_data
from abawfw.datasets.stores import RUCAIM3Store
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer
from abawfw.evaluation.functional import ccc
from abawfw.visualization.data_page import data_page

if TYPE_CHECKING:
    from browser import OpenPage

pytest_plugins = ['browser']
EVIL = '<img src=x onerror=alert(1)>&amp;"\''
SECTIONS = ['Overview', 'Findings', 'Partitions', 'Labels', 'Labels over time', 'Bounds']


def write_store(root: Path, videos: Mapping[str, Mapping[str, Any]]) -> Path:
    """A store of one feature; by name: labels (frames, 2) or None, partition (train), valid (frames,)."""
    with RUCAIM3Writer(root, {'face': (3,)}) as writer:
        for name, video in videos.items():
            frames = video.get('frames', 20) if video.get('labels') is None else len(video['labels'])
            valid = {'face': video['valid']} if 'valid' in video else None
            features = {'face': np.random.default_rng(len(name)).normal(size=(frames, 3))}
            writer.add(name, video.get('partition', 'train'), features, video.get('labels'), valid)
    return root


def labels(frames: int, seed: int = 0) -> np.ndarray:
    steps = np.random.default_rng(seed).normal(size=(frames, 2)).cumsum(axis=0)
    return np.tanh(0.1 * steps).astype(np.float32)


def page_of(root: Path) -> str:
    return data_page(read_facts(root)).render()


def cells(page: str, caption: str) -> list[list[str]]:
    """Texts of the cells of a table, row by row."""
    (body,) = re.findall(rf'<caption[^>]*>{re.escape(caption)}</caption>.*?<tbody>(.*?)</tbody>', page)
    rows = re.findall(r'<tr.*?</tr>', body)
    return [[unescape(cell) for cell in re.findall(r'<t[hd][^>]*>(.*?)</t[hd]>', row)] for row in rows]


def headings(page: str) -> list[str]:
    return re.findall(r'<h2[^>]*>(.*?)</h2>', page)


class Tags(HTMLParser):
    """Counts what a browser would take for tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


@pytest.fixture(scope='module')
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('data') / 'demo'
    make_demo_data(root, videos=(5, 3, 2), scale=0.1)
    return root


def test_numbers_of_a_small_store(tmp_path: Path) -> None:
    a, b, c = labels(40, 1), labels(30, 2), labels(25, 3)
    b[10:15] = np.nan
    c[:] = [0.25, -0.5]
    valid = np.ones(40, dtype=bool)
    valid[[0, 7, 8, 9]] = False
    videos: dict[str, dict[str, Any]] = {
        'a': {'labels': a, 'valid': valid},
        'b': {'labels': b},
        'c': {'labels': c, 'partition': 'val'},
        'd': {'frames': 12, 'partition': 'test'},
    }
    page = page_of(write_store(tmp_path / 'store', videos))
    assert headings(page) == [*SECTIONS, 'Missing frames', 'Videos']
    assert [row[:4] for row in cells(page, 'Videos and frames')] == [
        ['train', '2', '70', '65'],
        ['val', '1', '25', '25'],
        ['test', '1', '12', '0'],
    ]
    known = np.concatenate([a, b[:10], b[15:]]).astype(np.float64)
    rows = cells(page, 'Labels by partition')
    for column, row in enumerate(rows[:2]):
        assert row[:4] == ['train', ('valence', 'arousal')[column], '2', '65']
        assert row[4:6] == [f'{known[:, column].mean():.3f}', f'{known[:, column].std():.3f}']
    assert rows[2] == ['val', 'valence', '1', '25', '0.250', '0.000', '–', '1']
    assert cells(page, 'Missing frames by feature') == [
        ['face', 'train', '40', '4', '10.0%', '1', '2', '2', '3', '3']
    ]
    own = np.concatenate([np.full(40, a[:, 0].mean()), np.full(25, np.nanmean(b[:, 0]))])
    bounds = cells(page, 'CCC by what is known')
    assert bounds[0] == ['lower: constant', *['0.000'] * 4]
    both_train = np.stack([a[:, 0], np.pad(b[:, 0], (0, 10), constant_values=np.nan)]).astype(np.float64)
    course = np.nanmean(both_train, axis=0)
    over_time = ccc(np.concatenate(list(both_train)), np.concatenate([course, course]))
    assert bounds[1][:2] == ['lower: mean of train at each frame', f'{over_time:.3f}']
    assert bounds[1][3:] == ['0.000', '0.000']  # val is constant
    assert bounds[2][:2] == ['mean of each video', f'{ccc(known[:, 0], own):.3f}']
    assert bounds[2][3:] == ['0.000', '0.000']
    assert '4 videos, no groups known' in page
    shifted = [(x[t], x[t - 20]) for x in (a[:, 0], b[:, 0]) for t in range(20, len(x))]
    both = np.array([pair for pair in shifted if not np.isnan(pair).any()])
    (row,) = (row for row in bounds if row[0] == 'shifted by 20 frames')
    assert row[1] == f'{ccc(*both.T):.3f}'
    (late,) = (row for row in bounds if row[0] == 'shifted by 45 frames')
    assert late[1:] == ['–'] * 4  # no video is as long
    videos_table = {row[0]: row for row in cells(page, 'Videos')}
    assert videos_table['a'][1:4] == ['train', '40', '40']
    assert videos_table['a'][5] == f'{a[:, 0].astype(np.float64).mean():.3f}'
    assert videos_table['d'][3:9] == ['0', *'–––––']
    assert videos_table['a'][9] == '10.0%'


def test_findings_are_those_of_the_check(demo: Path) -> None:
    expected = [problem.text for problem in check_store(RUCAIM3Store, demo).problems]
    assert [row[-1] for row in cells(page_of(demo), 'Findings, errors first')] == expected
    assert len(expected) >= 3


def test_page_of_the_real_data(shared: Path) -> None:
    page = page_of(shared / 'data' / 'ceap360vr')
    rows = cells(page, 'Videos and frames')
    assert [row[:4] for row in rows] == [
        ['train', '160', '282,000', '282,000'],
        ['val', '48', '84,600', '84,600'],
        ['test', '48', '84,600', '0'],
    ]
    assert len(cells(page, 'Videos')) == 256
    assert len(page) < 30e6


def test_names_are_no_markup(tmp_path: Path) -> None:
    root = tmp_path / 'evil'
    write_store(root, {EVIL: {'labels': labels(30), 'valid': np.arange(30) > 3}})
    plain = page_of(
        write_store(tmp_path / 'plain', {'x': {'labels': labels(30), 'valid': np.arange(30) > 3}})
    )
    page = page_of(root)
    assert Tags(page).tags == Tags(plain).tags
    assert cells(page, 'Videos')[0][0] == EVIL


def test_without_labels(tmp_path: Path) -> None:
    page = page_of(write_store(tmp_path / 'store', {'a': {'partition': 'test'}, 'b': {'partition': 'test'}}))
    assert headings(page) == ['Overview', 'Findings', 'Partitions', 'Missing frames', 'Videos']
    assert [row[3] for row in cells(page, 'Videos')] == ['0', '0']


def test_without_masks(tmp_path: Path) -> None:
    page = page_of(write_store(tmp_path / 'store', {'a': {'labels': labels(30)}}))
    assert 'every feature was observed in every frame' in page


@pytest.mark.parametrize('frames', [1, 2, 3])
def test_one_short_video(tmp_path: Path, frames: int) -> None:
    page = page_of(write_store(tmp_path / 'store', {'a': {'labels': labels(frames)}}))
    assert headings(page)[:6] == SECTIONS
    assert cells(page, 'Labels by partition')[0][:4] == ['train', 'valence', '1', str(frames)]


def test_a_video_without_frames_is_a_finding(tmp_path: Path) -> None:
    root = write_store(tmp_path / 'store', {'a': {'labels': labels(30)}, 'b': {'labels': labels(30, 1)}})
    for path in root.rglob('train_*.h5'):
        with h5py.File(path, 'r+') as file:
            for name, values in [(n, v[()]) for n, v in file['b'].items()]:
                del file[f'b/{name}']
                file[f'b/{name}'] = values[:0] if np.ndim(values) else 0 * values
            if path.parent.name == 'targets':
                file['b/fps'] = 25.0
    found = [row for row in cells(page_of(root), 'Findings, errors first') if 'no frames' in ' '.join(row)]
    assert [row[0] for row in found] == ['error']


def test_videos_of_one_frame(tmp_path: Path) -> None:
    videos = {f'v{i}': {'labels': labels(1, i), 'partition': 'val' if i > 2 else 'train'} for i in range(5)}
    page = page_of(write_store(tmp_path / 'store', videos))
    (row, *_) = cells(page, 'Autocorrelation of labels')
    assert row[2:] == [*'–––––––', '1.0', '1.0']
    assert len(cells(page, 'Shifts between partitions')) == 2


def test_broken_store(tmp_path: Path) -> None:
    videos: dict[str, dict[str, Any]] = {'a': {'labels': labels(30)}, 'b': {'labels': labels(30, 1)}}
    videos |= {'c': {'labels': labels(9, 2), 'partition': 'val'}, 'd': {'partition': 'test'}}
    root = write_store(tmp_path / 'store', videos)
    with h5py.File(root / 'targets' / 'train_valid_targets.h5', 'r+') as file:
        file['b/valence'][4] = 2
    with h5py.File(root / 'targets' / 'val_valid_targets.h5', 'r+') as file:
        file.copy('c', 'a')
    (root / 'targets' / 'test_valid_targets.h5').write_bytes(b'nothing')
    page = page_of(root)
    found = cells(page, 'Findings, errors first')
    assert {'label range', 'duplicate', 'file'} <= {row[1] for row in found if row[0] == 'error'}
    errors = sum(row[0] == 'error' for row in found)
    assert f'{errors} errors were found in this data' in page
    assert 'The labels of 1 video are damaged' in page
    assert sorted(row[0] for row in cells(page, 'Videos')) == ['a', 'a', 'b', 'c']
    keys = re.findall(r'<tr tabindex="0" data-key="(.*?)"', page)
    assert sorted(keys) == ['a', 'a (2)', 'b', 'c']


def test_a_store_that_cannot_be_opened_has_a_page_of_findings(tmp_path: Path) -> None:
    (tmp_path / 'index.json').write_text('{')
    page = page_of(tmp_path)
    assert headings(page) == ['Overview', 'Findings']
    assert 'index.json' in cells(page, 'Findings, errors first')[0][-1]


@pytest.fixture(scope='module')
def demo_page(demo: Path) -> Path:
    path = demo.with_name('data.html')
    data_page(read_facts(demo)).write(path)
    return path


@pytest.mark.slow
def test_in_a_browser(open_page: OpenPage, demo_page: Path) -> None:
    opened = open_page(demo_page, 390)
    table = opened.page.locator('table', has=opened.page.locator('caption', has_text=re.compile('^Videos$')))
    frames = table.locator('thead button', has_text='frames')
    place = opened.page.locator('.curves')

    def order() -> list[int]:
        texts = table.locator('tbody tr td:nth-child(3)').all_text_contents()
        return [int(text.replace(',', '')) for text in texts]

    for width in (390, 1440):
        opened.page.set_viewport_size({'width': width, 'height': 900})
        opened.screenshot(f'data_{width}')
        assert opened.overflow <= 0
        frames.click()
        assert order() == sorted(order(), reverse=True)
        frames.click()
        assert order() == sorted(order())
        table.locator('tbody tr', has_text='val_1').click()
        opened.page.wait_for_selector('.curves[data-video=val_1]')
        assert place.locator('h3').text_content() == 'val_1'
        assert place.locator('.scatterlayer .js-line').count() == 2  # valence and arousal
        table.locator('tbody tr', has_text='test_0').click()
        opened.page.wait_for_selector('.curves[data-video=test_0]')
        assert 'no labels' in str(place.text_content())
        assert place.locator('.scatterlayer .js-line').count() == 0
    assert opened.errors == []
    assert opened.requests == [demo_page.as_uri()]


@pytest.mark.slow
def test_evil_names_in_a_browser(open_page: OpenPage, tmp_path: Path) -> None:
    videos = {EVIL: {'labels': labels(30), 'valid': np.arange(30) > 3}}
    root, path = write_store(tmp_path / EVIL.split('=')[0][1:], videos), tmp_path / 'page.html'
    data_page(read_facts(root)).write(path)
    opened = open_page(path)
    assert opened.page.locator('.curves h3').text_content() == EVIL
    assert opened.page.locator('img').count() == 0
    assert opened.errors == []
