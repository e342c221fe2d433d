"""Pictures of a run, from nothing but its files."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pytest

from abawfw.errors import DataError
from abawfw.results.predictions import write_predictions
from abawfw.results.run import Run
from abawfw.results.side_files import write_times
from abawfw.visualization.curves import DPI, draw_training, draw_videos
from abawfw.visualization.va_figure import save_figure

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close('all')


@pytest.fixture
def tested_run(tmp_path: Path) -> Run:
    rng = np.random.default_rng(0)
    preds = {
        name: rng.uniform(-1, 1, n)
        for name, n in (('short', 30), ('long', 300), ('<b>&$_{', 80), ('mid', 90))
    }
    labels = {name: np.clip(p + 0.1, -1, 1) for name, p in preds.items()}
    write_predictions(tmp_path / 'predictions', 'val', 'valence', preds, labels, 5)
    (tmp_path / 'metrics.csv').write_text(
        'epoch,loss,train_ccc_valence,val_ccc_valence\n1,.9,.1,.2\n2,.8,.2,.3\n'
    )
    return Run(tmp_path)


def titles(figure: Any) -> list[str]:
    return [axis.get_title(loc='left').split('  ')[0] for axis in figure.axes]


def test_longest_videos_by_default(tested_run: Run, tmp_path: Path) -> None:
    figure = draw_videos(tested_run)
    assert titles(figure) == ['long', 'mid', r'<b>&\$_{']
    drawn = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    np.testing.assert_array_equal(drawn['label'], tested_run.labels('valence')['long'])
    np.testing.assert_array_equal(drawn['smoothed'], tested_run.predictions('valence')['long'])
    save_figure(figure, tmp_path / 'curves.png', DPI)
    picture = matplotlib.image.imread(tmp_path / 'curves.png')
    assert picture.shape[1] == 2400  # 12 inches
    assert picture.std() > 0.05  # something is drawn
    assert not list(tmp_path.glob('.*'))


def test_a_video_of_one_target_has_one_row(tested_run: Run) -> None:
    write_predictions(tested_run.folder, 'val', 'arousal', {'mid': [0.0] * 90}, {'mid': [0.1] * 90}, 5)
    both = Run(tested_run.path)
    assert [axis.get_ylabel() for axis in draw_videos(both, ['mid', 'short']).axes] == [
        *('valence', 'arousal'),
        'valence',
    ]


def test_seconds_where_they_are_known(tested_run: Run) -> None:
    write_times(tested_run.folder, {'long': 2 + np.arange(300) / 25, 'mid': None})
    long, mid = draw_videos(tested_run, ['long', 'mid']).axes
    assert (long.get_xlabel(), mid.get_xlabel()) == ('time (s)', 'frame')
    np.testing.assert_allclose(long.lines[0].get_xdata(), 2 + np.arange(300) / 25)
    assert long.get_xlim() == pytest.approx((2, 2 + 299 / 25))
    assert mid.get_xlim() == (0, 89)


def test_saturated_labels_and_raw_values_beyond_lie_inside(tmp_path: Path) -> None:
    label = np.ones(50)
    for name, raw in (('a', label), ('b', 1.5 * label)):
        write_predictions(tmp_path / name / 'predictions', 'val', 'valence', {'v': raw}, {'v': label}, 0)
        (axis,) = draw_videos(Run(tmp_path / name)).axes
        low, high = axis.get_ylim()
        assert low == -high
        assert high > raw.max() + 0.05


def test_training(tested_run: Run) -> None:
    loss, ccc = draw_training(tested_run).axes
    assert [line.get_label() for line in loss.lines] == ['loss']
    assert [line.get_label() for line in ccc.lines] == ['train_ccc_valence', 'val_ccc_valence']
    (one,) = draw_training(tested_run, ['val_ccc_valence']).axes
    assert one.lines[0].get_ydata().tolist() == [0.2, 0.3]
    assert [axis.get_ylabel() for axis in (loss, ccc, one)] == ['loss', 'CCC', 'val_ccc_valence']
    (mixed,) = draw_training(tested_run, ['loss', 'train_ccc_valence', 'val_ccc_valence']).axes
    assert (mixed.get_xlabel(), mixed.get_ylabel()) == ('epoch', 'value')
    assert len({line.get_linestyle() for line in mixed.lines}) == 3  # colour is not all that tells them apart


def test_what_is_missing_is_named(tested_run: Run) -> None:
    with pytest.raises(DataError, match="no predictions of shrot; did you mean 'short'"):
        draw_videos(tested_run, ['shrot'])
    with pytest.raises(DataError, match=r"metrics\.csv: no column 'los'; did you mean 'loss'"):
        draw_training(tested_run, ['los'])
    with pytest.raises(DataError, match=r"(?s)no column 'a'.*no column 'b'"):
        draw_training(tested_run, ['a', 'loss', 'b'])
    (tested_run.path / 'metrics.csv').write_text('epoch,loss\n1,.9\n2,1e308\n')
    (only,) = draw_training(Run(tested_run.path)).axes  # no empty panel
    assert only.lines[0].get_marker() == 'o'  # a line of one point would not be seen
    (tested_run.path / 'metrics.csv').unlink()
    with pytest.raises(DataError, match=r'metrics\.csv is missing or has no finished epoch'):
        draw_training(Run(tested_run.path))


def test_the_command_line_writes_both_or_none(
    tested_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location('plot_curves', ROOT / 'tools/plot_curves.py')
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    out = tmp_path / 'new'
    with pytest.raises(DataError, match='no column'):
        tool.main([str(tested_run.path), '--keys', 'nope', '--out', str(out)])
    assert not out.exists()
    tool.main([str(tested_run.path), '--out', str(out)])
    assert sorted(p.name for p in out.iterdir()) == ['curves.png', 'training.png']
    for kind, begin in (('pdf', b'%PDF'), ('svg', b'<?xml')):
        tool.main([str(tested_run.path), '--out', str(out), '--format', kind])
        for name in ('curves', 'training'):
            content = (out / f'{name}.{kind}').read_bytes()
            assert content.startswith(begin)
            assert b'/Type3' not in content  # fonts that publishers refuse
    alone = tmp_path / 'alone'  # a folder of predictions, or a mean of weights: no epochs
    shutil.copytree(tested_run.path, alone, ignore=shutil.ignore_patterns('metrics.csv'))
    capsys.readouterr()
    tool.main([str(alone), '--out', str(tmp_path / 'few')])
    assert [p.name for p in (tmp_path / 'few').iterdir()] == ['curves.png']
    assert 'knows no epochs of its training: curves alone are drawn' in capsys.readouterr().out
    with pytest.raises(DataError, match='choose another place with --out'):
        tool.main([str(tested_run.path), '--out', str(tested_run.path / 'metrics.csv')])
