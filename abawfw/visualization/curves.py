"""Predicted and labelled curves, and how training went, as figures for a paper."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib

matplotlib.use('Agg')  # figures go to files; no screen is needed

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from abawfw.errors import DataError, nearest
from abawfw.results.run import METRICS, Run
from abawfw.visualization.palette import LABEL, RAW, SERIES, TARGETS

DPI = 200  # a figure of 12 inches fills the width of a page in print
STYLES = ('-', '--', ':', '-.', (0, (8, 3)), (0, (8, 3, 1, 3)))  # of the second line on, one that differs
BEYOND = 0.08  # of the axis above 1 and below -1


def draw_videos(run: Run, videos: Sequence[str] | None = None) -> plt.Figure:
    """Draw label, raw and smoothed prediction over the time of some videos of val, a row per target.

    Around the smoothed one lie its intervals, where the run was tested with them.

    The axis is in seconds where the times of a video's frames are known, and in frames where they are not. It
    reaches beyond the values from -1 to 1 that a label can have, so that a saturated one is seen.

    Args:
        run: a tested run.
        videos: which; None for the longest three.

    Raises:
        DataError: there are no predictions of these videos, or files are damaged.
    """
    known = {v: pred for target in run.targets for v, pred in run.predictions(target).items()}
    chosen = list(videos or sorted(known, key=lambda v: -len(known[v]))[:3])
    unknown = [v for v in chosen if v not in known]
    if unknown:
        raise DataError(f'{run.folder}: no predictions of {", ".join(unknown)}; {nearest(unknown[0], known)}')
    rows = [(v, target) for v in chosen for target in run.targets if v in run.predictions(target)]
    figure, axes = plt.subplots(
        len(rows), 1, figsize=(12, 2.0 * len(rows) + 0.4), squeeze=False, layout='constrained'
    )
    explained = set()
    for axis, (video, target) in zip(axes[:, 0], rows, strict=True):
        _draw(axis, run, video, target)
        if target not in explained:  # every target has its own colours
            axis.legend(
                loc='lower right',
                bbox_to_anchor=(1, 1),
                ncols=4,
                fontsize=8,
                frameon=False,
                borderaxespad=0.2,
            )
            explained.add(target)
    return figure


def _draw(axis: plt.Axes, run: Run, video: str, target: str) -> None:
    label, raw = run.labels(target)[video], run.predictions(target, 'raw')[video]
    timed = video in run.times
    x = run.times[video] if timed else np.arange(len(label))
    kept = run.intervals(target)
    if kept is not None and kept.found.reach is not None:
        ends = kept.found.limits(run.predictions(target)[video])
        name = f'{kept.found.level} of frames'
        axis.fill_between(x, *ends, color=TARGETS[target], alpha=0.13, linewidth=0, label=name)
    axis.plot(x, raw, color=RAW[target], linewidth=0.7, label='prediction')
    axis.plot(x, run.predictions(target)[video], color=TARGETS[target], linewidth=1.5, label='smoothed')
    axis.plot(x, label, color=LABEL, linewidth=1.1, label='label')
    reach = max(1.0, float(np.abs(raw).max(initial=0.0))) + BEYOND
    axis.set_ylim(-reach, reach)
    axis.set_yticks([-1, -0.5, 0, 0.5, 1])
    axis.set_xlim(x[0], x[-1] if len(x) > 1 else x[0] + 1)
    axis.set_xlabel('time (s)' if timed else 'frame')
    axis.set_ylabel(target)
    axis.grid(alpha=0.25)
    own = run.moments(target)[video].own_ccc
    score = 'not defined' if own is None else f'{own:.2f}'
    # a dollar would begin a formula
    name = video.replace('$', r'\$')
    axis.set_title(f'{name}   CCC of the smoothed {score}', fontsize=9, loc='left')


def draw_training(run: Run, keys: Sequence[str] | None = None) -> plt.Figure:
    """Draw figures of metrics.csv over the epochs.

    Args:
        run: a run with a finished epoch.
        keys: columns of metrics.csv, all in one figure; None for the loss, and beside it the CCC of training
            and validation.

    Raises:
        DataError: the run has no finished epoch, or no such column.
    """
    if not run.epochs:
        raise DataError(f'{run.path / METRICS} is missing or has no finished epoch: train the run first')
    known = list(dict.fromkeys(key for row in run.epochs for key in row))
    ccc = [f'{part}_ccc_{target}' for target in TARGETS for part in ('train', 'val')]
    panels = (
        [list(keys)] if keys else [['loss'], *([found] if (found := [k for k in ccc if k in known]) else [])]
    )
    unknown = [key for panel in panels for key in panel if key not in known]
    if unknown:
        hints = (f'no column {key!r}; {nearest(key, known)}' for key in unknown)
        raise DataError(f'{run.path / METRICS}: ' + '\n'.join(hints))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(5 * len(panels), 3.2), squeeze=False, layout='constrained'
    )
    for axis, panel in zip(axes[0], panels, strict=True):
        for i, key in enumerate(panel):
            target = key.rpartition('_')[2]
            color = TARGETS.get(target, SERIES[i % len(SERIES)]) if keys is None else SERIES[i % len(SERIES)]
            x = [row.get('epoch', n) for n, row in enumerate(run.epochs, start=1) if key in row]
            y = [row[key] for row in run.epochs if key in row]
            style = STYLES[i % len(STYLES)] if keys else ':' if key.startswith('train_') else '-'
            # one point alone has no line
            axis.plot(x, y, style, color=color, label=key, marker='o' if len(x) == 1 else None, markersize=4)
        many = {'loc': 'upper left', 'bbox_to_anchor': (1, 1)} if len(panel) > 6 else {}
        axis.legend(fontsize=8, **many)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlabel('epoch')
        axis.set_ylabel(_quantity(panel))
        axis.grid(alpha=0.25)
    return figure


def _quantity(keys: Sequence[str]) -> str:
    """What an axis with these columns shows."""
    if len(keys) == 1:
        return keys[0]
    for word, name in (('ccc', 'CCC'), ('pcc', 'PCC'), ('rmse', 'RMSE'), ('loss', 'loss')):
        if all(word in key.split('_') for key in keys):
            return name
    return 'value'
