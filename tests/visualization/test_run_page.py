"""The page of a run: figures and tables against the same computed apart, and runs that lack something."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_text import PageText

from abawfw.errors import DataError
from abawfw.evaluation.functional import ccc, pcc, rmse, smooth_and_clip
from abawfw.results.predictions import write_predictions
from abawfw.results.run import Run
from abawfw.results.side_files import write_faces
from abawfw.visualization.run_page import run_page, videos_table
from abawfw.visualization.run_scores import (
    calibration_table,
    density,
    error_bins,
    score_rows,
    smoothing_figure,
    used_window,
    window_scores,
)

if TYPE_CHECKING:
    from browser import OpenPage

pytest_plugins = ['browser']
EVIL = '</script><img src=x onerror=alert(1)>"\'&<b>'


def make_run(
    folder: Path, lengths: dict[str, int], targets: tuple[str, ...] = ('valence', 'arousal'), **change: Any
) -> Path:
    """Prediction files of made-up videos; change: labels or predictions as a function of the frames."""
    rng = np.random.default_rng(0)
    for target in targets:
        preds, labels = {}, {}
        for video, n in lengths.items():
            label = np.clip(np.cumsum(rng.normal(0, 0.05, n)), -1, 1)
            label[rng.random(n) < 0.05] = np.nan
            labels[video] = change['labels'](n) if 'labels' in change else label
            pred = np.nan_to_num(label) * 0.6 + 0.1 + rng.normal(0, 0.1, n)
            preds[video] = change['preds'](n) if 'preds' in change else pred
        write_predictions(folder / 'predictions', 'val', target, preds, labels, 5)
    return folder


def text_of(run: Path) -> str:
    return ' '.join(' '.join(PageText(run_page(Run(run)).render()).words).split())


def test_videos_table(tmp_path: Path) -> None:
    run = Run(make_run(tmp_path, {'a': 120, 'b': 50, 'c': 300}))
    faces = np.ones(120, dtype=bool)
    faces[:30] = False
    write_faces(run.folder, {'a': faces})
    table = videos_table(run, ['a', 'b', 'c'])
    titles = [f'{c.group} {c.title}'.strip() for c in table.columns]
    rows = {row[0]: dict(zip(titles, row, strict=True)) for row in table.rows}
    for video, row in rows.items():
        for target in ('valence', 'arousal'):
            true, pred = run.labels(target)[video], run.predictions(target)[video]
            known = np.isfinite(true)
            assert row[f'{target} labelled'] == known.sum()
            assert row[f'{target} CCC'] == pytest.approx(ccc(true[known], pred[known]))
            assert row[f'{target} PCC'] == pytest.approx(np.corrcoef(true[known], pred[known])[0, 1])
            assert row[f'{target} RMSE'] == pytest.approx(rmse(true[known], pred[known]))
            assert row[f'{target} bias'] == pytest.approx((pred - true)[known].mean())
        both = np.sqrt((row['valence RMSE'] ** 2 + row['arousal RMSE'] ** 2) / 2)
        assert row['all targets RMSE'] == pytest.approx(both)
    errors = [row['all targets RMSE'] for row in rows.values()]
    assert errors == sorted(errors, reverse=True)
    assert rows['a']['no face'] == pytest.approx(0.25)
    assert rows['b']['no face'] is None


def test_scores_are_those_of_the_report_or_measured(tmp_path: Path) -> None:
    run = make_run(tmp_path, {f'v{i}': 60 + i for i in range(6)})
    measured = score_rows(Run(run), 'valence')
    assert [row['stage'] for row in measured] == ['raw', 'clipped', 'smoothed']
    files = Run(run)
    label = np.concatenate(list(files.labels('valence').values()))
    for row in measured:
        pred = np.concatenate(list(files.predictions('valence', row['stage']).values()))
        assert row['ccc'] == pytest.approx(ccc(label, pred))
        assert row['pcc'] == pytest.approx(pcc(label, pred))
        assert row['ccc_low'] < row['ccc'] < row['ccc_high']
    reported = [{**row, 'ccc': 0.125} for row in measured]
    path = run / 'predictions/report.json'
    path.write_text(json.dumps({'postprocess': {}, 'rows': {'val': reported}}))
    assert score_rows(Run(run), 'valence') == reported
    # what another version wrote, whose intervals were others, or anybody, is measured anew
    older = [{key: value for key, value in row.items() if key != 'unit'} for row in reported]
    path.write_text(json.dumps({'postprocess': {}, 'rows': {'val': older}}))
    assert score_rows(Run(run), 'valence') == measured
    for wrong in (
        {'ccc': 10**400},
        {'ccc': '0.5'},
        {'ccc': None},
        {'notes': None},
        {'frames': 'many'},
        {'ccc_low': 'x'},
        {'effective': None},
    ):
        rows = [{**row, **wrong} for row in reported]
        path.write_text(json.dumps({'postprocess': {}, 'rows': {'val': rows}}))
        assert score_rows(Run(run), 'valence') == measured


def test_calibration(tmp_path: Path) -> None:
    run = Run(make_run(tmp_path, {'a': 400, 'b': 300}))
    table = calibration_table(run, ['arousal'])
    row = table.rows[0]
    label, pred = (
        np.concatenate(list(of.values())) for of in (run.labels('arousal'), run.predictions('arousal', 'raw'))
    )
    known = np.isfinite(label)
    label, pred = label[known], pred[known]
    slope, offset = np.polyfit(pred, label, 1)
    expected = [
        label.mean(),
        label.std(),
        pred.mean(),
        pred.std(),
        (pred - label).mean(),
        pred.std() / label.std(),
    ]
    assert row[2:8] == pytest.approx(expected)
    assert row[8] == pytest.approx(ccc(label, pred))
    scaled = (pred - pred.mean()) * label.std() / pred.std() + label.mean()
    assert row[10] == pytest.approx(ccc(label, scaled))
    assert row[10] >= ccc(label, slope * pred + offset)
    assert row[9] == pytest.approx(row[10] - row[8])


def test_windows(tmp_path: Path) -> None:
    run = Run(make_run(tmp_path, {'a': 100, 'b': 60}))
    found = window_scores(run, 'valence', (0, 7))
    raw, labels = run.predictions('valence', 'raw'), run.labels('valence')
    for window, score in found.items():
        smoothed = np.concatenate([smooth_and_clip(raw[v], window) for v in raw])
        assert score == pytest.approx(ccc(np.concatenate(list(labels.values())), smoothed))


@pytest.mark.parametrize(
    ('report', 'window', 'said'),
    [
        ({'postprocess': {'val': {'valence': ['MeanSmoothing(window=7)']}}}, 7, 'valence uses 7 (0.'),
        ({'postprocess': {'val': {'valence': []}}}, 0, 'valence uses 0 (0.'),
        ({'windows': {'valence': 12}}, 12, 'valence uses 12 (0.'),  # of an older version
        (
            {'postprocess': {'val': {'valence': ['MedianSmoothing(window=7)']}}},
            None,
            'valence: MedianSmoothing',
        ),
        ({'postprocess': {'val': {'valence': ['MeanSmoothing(window=50000)']}}}, None, 'valence: MeanSmooth'),
        ({'postprocess': {'val': 'x'}, 'windows': [3]}, None, 'valence: not recorded, test the run again'),
        ({}, None, 'valence: not recorded, test the run again'),
    ],
)
def test_the_window_in_use_is_marked(
    tmp_path: Path, report: dict[str, Any], window: int | None, said: str
) -> None:
    folder = make_run(tmp_path, {'a': 100}, ('valence',))
    (folder / 'predictions/report.json').write_text(json.dumps(report))
    run = Run(folder)
    assert used_window(run, 'valence') == window
    (figure,) = smoothing_figure(run, ['valence'])
    points = {trace['name']: (trace['x'], trace['y']) for trace in figure.figure['data']}
    if window is None:
        assert 'valence, in use' not in points
    else:
        assert points['valence, in use'] == ([window], [window_scores(run, 'valence', [window])[window]])
    assert said in figure.caption


at = st.integers(-64, 64).map(lambda i: i / 64)  # on the edges of cells too
points = st.lists(st.tuples(at, at), min_size=1, max_size=60)


@given(points)
def test_density_and_errors(pairs: list[tuple[float, float]]) -> None:
    x, y = np.array(pairs).T
    edges = np.linspace(-1, 1, 5)
    expected = np.histogram2d(y, x, (edges, edges))[0]
    assert (density(x, y, 4) == expected).all()
    found = error_bins(x, y, 4)
    for i in range(4):
        inside = (x >= edges[i]) & ((x < edges[i + 1]) | (i == 3))
        assert found.frames[i] == inside.sum()
        if inside.any():
            assert found.mean[i] == pytest.approx((y - x)[inside].mean(), abs=1e-12)
            assert found.std[i] == pytest.approx((y - x)[inside].std(), abs=1e-9)
        else:
            assert np.isnan(found.mean[i])


def test_names_never_become_markup(tmp_path: Path) -> None:
    plain = make_run(tmp_path / 'plain', {'x': 30, 'y': 40})
    evil = make_run(tmp_path / 'evil', {EVIL: 30, f'{EVIL}2': 40})
    pages = [PageText(run_page(Run(run)).render()) for run in (plain, evil)]
    assert pages[0].tags == pages[1].tags
    assert EVIL in pages[1].words


@pytest.mark.parametrize(
    ('lengths', 'change', 'said'),
    [
        ({'only': 200}, {}, 'valence, arousal: no interval: 1 labelled video: an interval needs 5 or more'),
        ({'a': 3, 'b': 3}, {}, 'no interval: 2 labelled videos: an interval needs 5 or more'),
        ({'a': 1}, {'labels': lambda n: np.zeros(n)}, 'labels or predictions are constant'),
        ({'a': 90, 'b': 90}, {'labels': lambda n: np.full(n, 0.3)}, 'labels or predictions are constant'),
        ({'a': 90, 'b': 90}, {'preds': lambda n: np.full(n, 0.3)}, 'labels or predictions are constant'),
        ({'a': 90, 'b': 80}, {'targets': ('arousal',)}, 'predictions of arousal only'),
    ],
)
def test_unusual_runs(tmp_path: Path, lengths: dict[str, int], change: dict[str, Any], said: str) -> None:
    assert said in text_of(make_run(tmp_path, lengths, **change))


def test_a_target_without_labels(tmp_path: Path) -> None:
    run = make_run(tmp_path, {'a': 90, 'b': 80})
    for path in (run / 'predictions').glob('val_pred_valence_*.json'):
        content = json.loads(path.read_text())
        for entry in content.values():
            entry['label'] = [-5] * len(entry['label'])
        path.write_text(json.dumps(content))
    text = text_of(run)
    assert 'No frame has a label of valence: it has no scores.' in text
    assert re.search(r'CCC of the smoothed predictions: 0\.\d+ for arousal\.', text)


def test_what_an_older_run_lacks_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path, {'a': 90})
    text = text_of(run)
    for missing in (
        'metrics.csv',
        'summary.json',
        'config.py',
        'over 1 video, no groups known',
        'The mean over the training videos at each frame is unknown for valence and arousal: test the run',
    ):
        assert missing in text
    assert 'face' not in text  # which the data may not even show
    (run / 'summary.json').write_text('{"status": "done"}')
    (run / 'config.py').write_text('a = "<b>"\n')
    text = text_of(run)
    assert 'peak memory unknown' in text
    assert 'What the config changes in its bases is unknown' in text
    assert 'a = "<b>"' in text


def test_bounds_and_what_each_knows(tmp_path: Path) -> None:
    run = make_run(tmp_path, {'a': 120, 'b': 50, 'c': 300})
    report = {'lower_bounds': {'valence': {'constant': 0.0, 'course': 0.125}, 'arousal': {'course': 'x'}}}
    (run / 'predictions/report.json').write_text(json.dumps(report))
    page = run_page(Run(run)).render()
    (body,) = re.findall(r'<caption[^>]*>Bounds to compare the scores with.*?<tbody>(.*?)</tbody>', page)
    rows = [re.findall(r'<t[hd][^>]*>(.*?)</t[hd]>', row) for row in re.findall(r'<tr.*?</tr>', body)]
    tested = Run(run)
    upper = []
    for target in ('valence', 'arousal'):
        labels = list(tested.labels(target).values())
        means = np.concatenate([np.full(len(x), np.nanmean(x)) for x in labels])
        upper.append(f'{ccc(np.concatenate(labels), means):.4f}')
    assert [row[0] for row in rows] == ['lower', 'lower', 'upper']
    assert [row[2:] for row in rows] == [['0.0000', '0.0000'], ['0.1250', '–'], upper]
    assert 'is unknown for arousal: test the run again' in page
    assert 'a model that is not above them has learned nothing useful yet' in page


def test_the_origin_tells_code_machine_and_parameters(tmp_path: Path) -> None:
    run = make_run(tmp_path, {'a': 90})
    machine = {'os': 'Some OS 1', 'cpu': 'Some CPU', 'cores': 8, 'memory': 64_000_000_000, 'cuda': '13.0'}
    summary: dict[str, Any] = {
        'status': 'done',
        'git': {'commit': 'ab' * 20, 'dirty': True},
        'machine': {**machine, 'gpus': ['GPU X', 'GPU X']},
        'parameters': 1_234_567,
    }
    (run / 'summary.json').write_text(json.dumps(summary))
    text = text_of(run)
    for said in (
        f'git commit of abawfw {"ab" * 20}, with uncommitted changes',
        'parameters 1,234,567',
        'operating system Some OS 1 CPU Some CPU, 8 cores memory of the machine 64.00 GB',
        'GPUs 2 x GPU X, CUDA 13.0',
    ):
        assert said in text
    summary |= {'git': None, 'machine': {**machine, 'gpus': []}}
    (run / 'summary.json').write_text(json.dumps(summary))
    text = text_of(run)
    assert 'git commit of abawfw none: the code was no git checkout' in text
    assert 'GPUs none' in text
    for wrong in (
        {},
        {'git': 3, 'machine': 'x', 'parameters': 'many'},
        {'git': {'commit': 5}, 'machine': {'gpus': 1}},
    ):
        (run / 'summary.json').write_text(json.dumps({'status': 'done', **wrong}))
        text = text_of(run)
        for name in ('parameters', 'operating system', 'CPU', 'memory of the machine', 'GPUs'):
            assert f'{name} not recorded' in text
    (run / 'summary.json').write_text('{"status": "done"}')
    assert 'git commit of abawfw not recorded' in text_of(run)


def test_what_differs_from_the_base(tmp_path: Path) -> None:
    run = make_run(tmp_path / 'run', {'a': 90})
    changes: dict[str, Any] = {'file': ['lr: 1 -> 2'], 'command': ['epochs: 5 -> 7']}
    for recorded, said in (
        (changes, r'in its bases lr: 1 -> 2 .* in the config file epochs: 5 -> 7 '),
        (changes | {'command': []}, 'in the config file nothing '),
        (changes | {'file': None}, 'changes in its bases is unknown: without the file'),
        (None, 'started from a complete config'),
    ):
        (run / 'summary.json').write_text(json.dumps({'config_changes': recorded}))
        assert re.search(said, text_of(run))
    (run / 'summary.json').write_text('{}')
    assert 'is unknown: the run is of an older version' in text_of(run)


def test_no_file_that_a_summary_names_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run may come from anybody, and its summary name any file."""
    run = make_run(tmp_path / 'run', {'a': 90})
    (run / 'notes.py').write_text("password = 'hunter2'\n")
    (run / 'summary.json').write_text(json.dumps({'config_file': str(run / 'notes.py')}))
    monkeypatch.chdir(run)
    assert 'hunter2' not in text_of(run)


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'python tools/test\.py'):
        Run(tmp_path).require_val()
    run = make_run(tmp_path, {'good': 4, 'bad video': 4})
    for path in (run / 'predictions').glob('val_pred_arousal_*.json'):
        content = json.loads(path.read_text())
        content['bad video']['pred'][2] = float('nan')
        path.write_text(json.dumps(content))
    with pytest.raises(DataError, match='video bad video'):
        run_page(Run(run))


@pytest.mark.slow
def test_odd_runs_in_a_browser(open_page: OpenPage, tmp_path: Path) -> None:
    run = Run(make_run(tmp_path, {EVIL: 3, '<i>2': 1, 'a' * 120: 700}))
    run_page(run).write(tmp_path / 'odd.html')
    opened = open_page(tmp_path / 'odd.html', 390)
    for width in (390, 1440):
        opened.page.set_viewport_size({'width': width, 'height': 900})
        assert opened.overflow <= 0
        rows = opened.page.locator('.curves >> xpath=.. >> tr[data-key]')
        for row in rows.all():
            name = row.locator('th').text_content()
            row.click()
            opened.page.wait_for_function(
                'name => document.querySelector(".curves").dataset.video === name', arg=name
            )
            assert opened.page.locator('.curves h3').text_content() == name
        assert {row.locator('th').text_content() for row in rows.all()} == {EVIL, '<i>2', 'a' * 120}
        assert opened.overflow <= 0
        opened.screenshot(f'run_odd_{width}')
    assert opened.page.locator('main img, main i').count() == 0
    assert opened.errors == []
