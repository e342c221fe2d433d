"""Pictures of a run, from nothing but its files."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from abawfw.errors import DataError
from abawfw.evaluation.prediction_files import write_predictions
from abawfw.visualization.curves import plot_training, plot_videos


@pytest.fixture
def tested_run(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    preds = {
        name: rng.uniform(-1, 1, n) for name, n in (('short', 30), ('long', 300), ('<b>&', 80), ('mid', 90))
    }
    labels = {name: np.clip(p + 0.1, -1, 1) for name, p in preds.items()}
    write_predictions(tmp_path / 'predictions', 'val', 'valence', preds, labels, 5)
    (tmp_path / 'metrics.csv').write_text(
        'epoch,loss,train_ccc_valence,val_ccc_valence\n1,.9,.1,.2\n2,.8,.2,.3\n'
    )
    return tmp_path


def test_longest_videos_by_default(tested_run: Path) -> None:
    out = tested_run / 'curves.png'
    assert plot_videos(tested_run, ['valence'], out) == ['long', 'mid', '<b>&']
    picture = matplotlib.image.imread(out)
    assert picture.shape[1] == 1320
    assert picture.std() > 0.05  # something is drawn


def test_more_videos_make_a_taller_picture(tested_run: Path) -> None:
    heights = []
    for videos in (['short'], ['short', 'long']):
        plot_videos(tested_run, ['valence'], tested_run / 'curves.png', videos)
        heights.append(matplotlib.image.imread(tested_run / 'curves.png').shape[0])
    assert heights[1] > 1.5 * heights[0]


def test_training(tested_run: Path) -> None:
    plot_training(tested_run, tested_run / 'training.png')
    assert matplotlib.image.imread(tested_run / 'training.png').std() > 0.05


def test_what_is_missing_is_named(tested_run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'no predictions of other; there are: short, long'):
        plot_videos(tested_run, ['valence'], tmp_path / 'x.png', ['other'])
    with pytest.raises(DataError, match=r'tools/test\.py'):
        plot_videos(tmp_path / 'nowhere', ['valence'], tmp_path / 'x.png')
    with pytest.raises(DataError, match=r'metrics\.csv'):
        plot_training(tmp_path / 'nowhere', tmp_path / 'x.png')
