"""tools/report.py: the page of a run that was trained and tested, also in a browser."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from command_line import ROOT, call

from abawfw.engine.hooks.summary_hook import machine
from abawfw.results.run import Run
from abawfw.results.side_files import write_faces

if TYPE_CHECKING:
    from browser import OpenPage

pytest_plugins = ['browser']
CONFIG = ROOT / 'configs/rucaim3/transformer_demo.py'


@pytest.fixture
def run(trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Path:
    """A copy of the trained run, tested on val, with faces that are missing in 10 frames of each video."""
    folder = shutil.copytree(trained, tmp_path / 'run')
    assert call(capfd, 'test', folder, '--partition', 'val').code == 0
    tested = Run(folder)
    faces = {}
    for video, pred in tested.predictions('valence').items():
        faces[video] = np.ones(len(pred), dtype=bool)
        faces[video][5:15] = False
    write_faces(tested.folder, faces)
    return folder


def test_summary_tells_of_config_and_memory(trained: Path) -> None:
    summary = json.loads((trained / 'summary.json').read_text())
    assert summary['config_file'] == str(CONFIG)
    assert 50e6 < summary['peak_memory']['process'] < 50e9
    # of the best checkpoint as well, which holds nothing but the model's weights
    weights = torch.load(trained / summary['best']['ccc']['file'], weights_only=True)['state_dict']
    assert 0 < summary['parameters'] <= sum(value.numel() for value in weights.values())
    assert summary['machine'] == machine()
    assert summary['git'] is None or re.fullmatch('[0-9a-f]{40}', summary['git']['commit'])


def test_page(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = call(capfd, 'report', run)
    assert (found.code, found.err) == (0, '')
    assert re.fullmatch(rf'written: {run}/report\.html \(\d+\.\d MB\)\n', found.out)
    text = (run / 'report.html').read_text()
    assert 'hidden: 256 -&gt; 64' in text  # the config file
    assert 'hidden: 64 -&gt; 16' in text  # the command line
    for row in json.loads((run / 'predictions/report.json').read_text())['rows']['val']:
        assert f'data-value="{row["ccc"]}">{row["ccc"]:.4f}<' in text
    out = tmp_path / 'new/folder/page.html'
    assert call(capfd, 'report', run, '--out', out).code == 0
    assert out.is_file()


def test_refused(trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    untested = shutil.copytree(trained, tmp_path / 'untested')
    found = call(capfd, 'report', untested)
    assert found.code == 2
    assert f'python tools/test.py {untested}' in found.err
    found = call(capfd, 'report', tmp_path / 'nowhere')
    assert found.code == 2
    assert 'no such folder' in found.err


def test_what_cannot_be_written(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'file').touch()
    found = call(capfd, 'report', run, '--out', tmp_path / 'file/page.html')
    assert found.code == 2
    assert f'{tmp_path}/file: cannot be written (' in found.err
    assert '--out' in found.err
    found = call(capfd, 'report', run, '--out', tmp_path)
    assert found.code == 2
    assert f'is a folder; name a file to write, such as {tmp_path}/report.html' in found.err
    monkeypatch.setitem(sys.modules, 'plotly.offline', None)
    found = call(capfd, 'report', run)
    assert found.code == 2
    assert 'pip install -e .[report]' in found.err
    assert not (run / 'report.html').exists()


@pytest.mark.slow
@pytest.mark.parametrize('width', [1440, 390])
def test_in_a_browser(run: Path, capfd: pytest.CaptureFixture[str], open_page: OpenPage, width: int) -> None:
    assert call(capfd, 'report', run).code == 0
    path = run / 'report.html'
    opened = open_page(path, width)
    page = opened.page
    assert opened.overflow <= 0
    opened.screenshot(f'run_{width}')
    plots = page.locator('.plot')
    assert page.locator('.plot .main-svg').count() >= plots.count() == 10
    assert all(plot.get_attribute('aria-label') for plot in plots.all())

    # a click and a key choose a video, whose curves are the predictions
    tested = Run(run)
    rows = page.locator('tr[data-key]')
    names = rows.evaluate_all('rows => rows.map(row => row.dataset.key)')
    assert sorted(names) == sorted(tested.predictions('valence'))
    drawn = 'name => document.querySelector(".curves").dataset.video === name'
    page.wait_for_function(drawn, arg=names[0])  # the first is shown at once
    rows.nth(0).focus()
    rows.nth(0).press('ArrowDown')
    page.keyboard.press('Enter')
    page.wait_for_function(drawn, arg=names[1])
    assert rows.nth(1).get_attribute('aria-current') == 'true'
    for name in (names[1], names[0]):
        rows.locator(f'xpath=self::*[@data-key="{name}"]').click()
        page.wait_for_function(drawn, arg=name)
        assert page.locator('.curves h3').text_content() == name
        data = page.evaluate(
            'document.querySelector(".curves .plot").data.map(({x, y, meta}) => ({x, y, meta}))'
        )
        curves = {trace['meta']: trace for trace in data}
        assert len(curves) == 8
        for target in ('valence', 'arousal'):
            label, smoothed = tested.labels(target)[name], tested.predictions(target)[name]
            expected = {'label': label, 'smoothed': smoothed, 'residual': smoothed - label}
            expected['raw'] = tested.predictions(target, 'raw')[name]
            for curve, values in expected.items():
                found = curves[f'{target} {curve}']
                assert found['x'] == pytest.approx(tested.times[name].tolist())
                y = np.array([np.nan if v is None else v for v in found['y']])
                np.testing.assert_allclose(y, values, rtol=0, atol=np.nanmax(np.abs(values)) / 60_000)
        shape = page.evaluate('document.querySelector(".curves .plot").layout.shapes[0].path')
        edges = [(tested.times[name][i - 1] + tested.times[name][i]) / 2 for i in (5, 15)]
        assert [float(x) for x in re.findall(r'[MH]([\d.]+)', shape)] == pytest.approx(edges)
        assert 'no face was found in 10 frames' in page.locator('.curves .note').text_content()

    # both ways of sorting, by every column
    table = page.locator('table:has(tr[data-key])')
    for at, button in enumerate(table.locator('thead button').all()):
        orders = []
        for _ in range(2):
            button.click()
            values = table.locator('tbody tr').evaluate_all(
                '(rows, at) => rows.map(row => row.cells[at].dataset.value)', at
            )
            orders.append([v if at == 0 else float(v) for v in values if v is not None])
        assert sorted(orders[0]) in (orders[0], orders[0][::-1])
        assert sorted(orders[1]) in (orders[1], orders[1][::-1])
        assert len(set(orders[0])) < 2 or orders[0] == orders[1][::-1]

    assert opened.errors == []
    assert opened.requests == [path.as_uri()]


def test_a_page_does_not_replace_other_files(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = run / 'predictions/val_pred_valence_smooth.json'
    before = file.read_bytes()
    found = call(capfd, 'report', run, '--out', file)
    assert found.code == 2
    assert 'a page has a name that ends in .html, such as report.html' in found.err
    assert file.read_bytes() == before


def test_damaged_predictions_leave_no_folder(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (run / 'predictions/val_pred_valence_nosmooth_ori.json').write_text(
        '{"a": {"pred": [NaN], "label": [0]}}'
    )
    found = call(capfd, 'report', run, '--out', tmp_path / 'new/page.html')
    assert found.code == 2
    assert 'video a, frame 0: "pred" is nan' in found.err
    assert not (tmp_path / 'new').exists()
