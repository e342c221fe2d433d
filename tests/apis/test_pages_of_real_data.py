"""CEAP-360VR, real annotations: trained, tested, compared, and all its pages in a browser."""

from __future__ import annotations

import contextlib
import io
import json
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import pytest
from command_line import ROOT, TINY, TINY_TRANSFORMER

from abawfw.results.run import Run

if TYPE_CHECKING:
    from browser import OpenPage

pytest_plugins = ['browser']
VIDEOS = {'train': 8, 'val': 12, 'test': 4}  # of 160, 48 and 48
SHORT = ['epochs=1']
RUNS = {'transformer': TINY_TRANSFORMER, 'fclstm_xl': TINY}


def use(tool: str, *arguments: Any) -> str:
    """Call a command line in this process; returns what it printed."""
    main = runpy.run_path(str(ROOT / f'tools/{tool}.py'))['main']
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = main([str(a) for a in arguments])
    assert not code, printed.getvalue()
    return printed.getvalue()


def first_videos(source: Path, root: Path) -> Path:
    """A store of the first videos of each partition."""
    for path in sorted(source.rglob('*.h5')):
        (root / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path) as file, h5py.File(root / path.relative_to(source), 'w') as copy:
            for name in list(file)[: VIDEOS[path.stem.partition('_')[0]]]:
                file.copy(name, copy)
    splits = json.loads((source / 'splits.json').read_text())
    kept = {part: sorted(splits[part])[:count] for part, count in VIDEOS.items()}
    names = {name for part in kept.values() for name in part}
    kept['fps'] = {name: fps for name, fps in splits['fps'].items() if name in names}
    (root / 'splits.json').write_text(json.dumps(splits | kept))
    return root


@pytest.fixture(scope='module')
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two tested runs, a.html of the first, both.html and data.html."""
    folder = tmp_path_factory.mktemp('ceap360vr')
    data = first_videos(shared / 'data/ceap360vr', folder / 'data')
    with contextlib.chdir(folder):
        make_pages(data)
    return folder


def make_pages(data: Path) -> None:
    """Make what ``folder`` holds in the working directory."""
    for name, sizes in RUNS.items():
        config = ROOT / f'configs/rucaim3/{name}_ceap360vr.py'
        options = ['--data-root', data, '--work-dir', name, '--cfg-options', *sizes, *SHORT]
        for words in (('train', config, *options), ('test', name, '--partition', 'val')):
            use(*words)
    for words in (
        ('transformer', '--out', 'a.html'),
        ('transformer', 'fclstm_xl', '--out', 'both.html'),
        ('--data', data, '--out', 'data.html'),
    ):
        use('report', *words)


@pytest.mark.slow
@pytest.mark.parametrize('width', [1440, 390])
@pytest.mark.parametrize(('name', 'curves'), [('a', 6), ('both', 6), ('data', 2)])
def test_pages_work(folder: Path, open_page: OpenPage, name: str, curves: int, width: int) -> None:
    path = folder / f'{name}.html'
    opened = open_page(path, width)
    page = opened.page
    table = page.locator('table:has(tr[data-key])').first
    rows = table.locator('tr[data-key]')
    key = rows.nth(3).get_attribute('data-key')
    rows.nth(3).click()
    page.wait_for_function(f"document.querySelector('.curves h3').textContent == {key!r}")
    traces = page.evaluate(
        "document.querySelector('.curves .plot').data.filter(t => t.y).map(t => t.y.length)"
    )
    assert len([n for n in traces if n > 100]) >= curves
    column = table.locator('thead tr').last.locator('th.number').first
    for direction in ('descending', 'ascending'):
        column.locator('button').click()
        assert column.get_attribute('aria-sort') == direction
    opened.screenshot(f'ceap360vr_{name}_{width}')
    assert opened.overflow <= 0
    assert opened.errors == []
    assert opened.requests == [path.resolve().as_uri()]


@pytest.mark.slow
def test_the_comparison_of_real_runs(folder: Path) -> None:
    assert '12 videos' in use('compare', folder / 'transformer', folder / 'fclstm_xl')
    run = Run(folder / 'transformer')
    assert len(run.labels('valence')) == 12
