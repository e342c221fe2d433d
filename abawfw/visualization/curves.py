"""Predicted and labelled curves, and how training went."""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib

matplotlib.use('Agg')  # pictures go to files; no screen is needed

import matplotlib.pyplot as plt
import numpy as np

from abawfw.errors import DataError
from abawfw.evaluation.functional import ccc
from abawfw.evaluation.prediction_files import Predictions, predictions_folder, read_predictions
from abawfw.visualization.palette import LABEL, RAW, SMOOTHED, TARGETS


def plot_videos(run: Path, targets: list[str], path: Path, videos: list[str] | None = None) -> list[str]:
    """Draw label, raw and smoothed prediction over the frames of some videos of val.

    Args:
        run: work_dir with predictions/ (``tools/test.py`` writes them).
        targets: rows of the picture, per video.
        path: picture to write; its ending says the format.
        videos: which; None for the longest three.

    Returns:
        The videos drawn.

    Raises:
        DataError: there are no predictions, or not of these videos.
    """
    folder = predictions_folder(run)
    raw = {t: read_predictions(folder, 'val', t, raw=True) for t in targets}
    smooth = {t: read_predictions(folder, 'val', t, smoothed=True) for t in targets}
    known = raw[targets[0]].preds
    chosen = videos or sorted(known, key=lambda v: -len(known[v]))[:3]
    unknown = [v for v in chosen if v not in known]
    if unknown:
        raise DataError(f'{folder}: no predictions of {", ".join(unknown)}; there are: {", ".join(known)}')
    size = (12, 1.9 * len(chosen) * len(targets) + 0.4)
    figure, axes = plt.subplots(
        len(chosen) * len(targets), 1, figsize=size, squeeze=False, layout='constrained'
    )
    for row, axis in enumerate(axes[:, 0]):
        video, target = chosen[row // len(targets)], targets[row % len(targets)]
        _draw(axis, video, target, raw[target], smooth[target])
    axes[0, 0].legend(loc='upper right', ncols=3, fontsize=8, framealpha=0.9)
    axes[-1, 0].set_xlabel('frame')
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return chosen


def _draw(axis: plt.Axes, video: str, target: str, raw: Predictions, smooth: Predictions) -> None:
    assert raw.labels is not None  # files of val hold labels
    label = np.asarray(raw.labels[video])
    axis.plot(raw.preds[video], color=RAW, linewidth=0.7, label='prediction')
    axis.plot(smooth.preds[video], color=SMOOTHED, linewidth=1.3, label='smoothed')
    axis.plot(label, color=LABEL, linewidth=1.1, label='label')
    axis.set_ylim(-1, 1)
    axis.set_xlim(0, len(label) - 1)
    axis.set_ylabel(target)
    axis.grid(alpha=0.25)
    axis.set_title(
        f'{video}   CCC of the smoothed {ccc(label, smooth.preds[video]):.2f}', fontsize=9, loc='left'
    )


def plot_training(run: Path, path: Path) -> None:
    """Draw loss and CCC over the epochs, from metrics.csv.

    Raises:
        DataError: the run has no finished epoch.
    """
    source = run / 'metrics.csv'
    if not source.is_file():
        raise DataError(f'{source} is missing: the run has not finished an epoch yet')
    rows = list(csv.DictReader(source.read_text().splitlines()))
    epochs = [int(r['epoch']) for r in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), layout='constrained')
    left.plot(epochs, [float(r['loss']) for r in rows], color=LABEL)
    left.set_title('training loss', fontsize=9, loc='left')
    for target, color in TARGETS.items():
        for part, style in (('train', ':'), ('val', '-')):
            key = f'{part}_ccc_{target}'
            if key in rows[0]:
                right.plot(
                    epochs, [float(r[key]) for r in rows], style, color=color, label=f'{target}, {part}'
                )
    right.set_title('CCC', fontsize=9, loc='left')
    right.legend(fontsize=8)
    for axis in (left, right):
        axis.set_xlabel('epoch')
        axis.grid(alpha=0.25)
    figure.savefig(path, dpi=110)
    plt.close(figure)
