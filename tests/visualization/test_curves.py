"""Pictures of a run, from nothing but its files."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from abawfw.errors import DataError
from abawfw.evaluation.prediction_files import write_predictions
from abawfw.evaluation.tested_run import TestedRun
from abawfw.visualization.curves import plot_training, plot_videos


@pytest.fixture
def tested_run(tmp_path: Path) -> TestedRun:
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
    return TestedRun(tmp_path)


def test_longest_videos_by_default(tested_run: TestedRun) -> None:
    out = tested_run.path / 'curves.png'
    assert plot_videos(tested_run, out) == ['long', 'mid', '<b>&$_{']
    picture = matplotlib.image.imread(out)
    assert picture.shape[1] == 2400  # 12 inches
    assert picture.std() > 0.05  # something is drawn


def test_more_videos_make_a_taller_picture(tested_run: TestedRun) -> None:
    heights = []
    for videos in (['short'], ['short', 'long']):
        plot_videos(tested_run, tested_run.path / 'curves.png', videos)
        heights.append(matplotlib.image.imread(tested_run.path / 'curves.png').shape[0])
    assert heights[1] > 1.5 * heights[0]


def test_training(tested_run: TestedRun) -> None:
    out = tested_run.path / 'training.png'
    plot_training(tested_run, out)
    both = matplotlib.image.imread(out)
    assert both.std() > 0.05
    plot_training(tested_run, out, ['val_ccc_valence'])
    assert matplotlib.image.imread(out).shape[1] == both.shape[1] / 2  # one panel
    assert not list(tested_run.path.glob('.*'))


def test_what_is_missing_is_named(tested_run: TestedRun, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no predictions of shrot; did you mean 'short'"):
        plot_videos(tested_run, tmp_path / 'x.png', ['shrot'])
    with pytest.raises(DataError, match=r"metrics\.csv: no column 'los'; did you mean 'loss'"):
        plot_training(tested_run, tmp_path / 'x.png', ['los'])
    (tmp_path / 'metrics.csv').unlink()
    with pytest.raises(DataError, match=r'metrics\.csv is missing or has no finished epoch'):
        plot_training(TestedRun(tested_run.path), tmp_path / 'x.png')
    assert not (tmp_path / 'x.png').exists()
