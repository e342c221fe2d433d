"""Tables of scores over all videos."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import counted
from abawfw.evaluation.functional import Moments, calibration, moments, smooth_and_clip, video_mean_bound
from abawfw.results.report_table import measured_row
from abawfw.results.run import STAGES, Run
from abawfw.results.side_files import number
from abawfw.visualization.blocks import Block, Column, Figure, Paragraph, SideBySide, Table
from abawfw.visualization.palette import DENSITY, FAINT, TARGET_MARKS, TARGETS

COLUMNS = [
    Column('target'),
    Column('stage'),
    Column('CCC', '.4f', hint='concordance correlation coefficient'),
    Column('from', '.3f', '95 % interval of the CCC'),
    Column('to', '.3f', '95 % interval of the CCC'),
    Column('PCC', '.4f', hint='Pearson correlation coefficient'),
    Column('RMSE', '.4f', hint='root of the mean squared error'),
    Column('frames', ',', hint='frames with a label'),
    Column('videos', ',', hint='videos with a labelled frame'),
]
KEYS = ('target', 'stage', 'ccc', 'ccc_low', 'ccc_high', 'pcc', 'rmse', 'frames', 'videos')


def scores_table(run: Run, targets: Sequence[str]) -> list[Block]:
    """CCC with its interval, PCC and RMSE of each target and stage, and what is to be said of them."""
    rows = [row for target in targets for row in score_rows(run, target)]
    if not rows:
        return []
    notes: dict[str, list[str]] = {}
    for row in rows:
        for note in row['notes']:
            notes.setdefault(str(note), []).append(row['target'])
    if len(targets) > 1:
        rows += mean_rows(rows, targets)
    table = Table('Scores on val', COLUMNS, [[row[key] for key in KEYS] for row in rows])
    said = [f'{", ".join(dict.fromkeys(of))}: {note}' for note, of in notes.items()]
    return [table, *(Paragraph(text, warning=True) for text in said)]


def mean_rows(rows: Sequence[Mapping[str, Any]], targets: Sequence[str]) -> list[dict[str, Any]]:
    """The mean CCC of the targets per stage, the score of the ABAW challenges."""
    found = []
    for stage in STAGES:
        scores = [row['ccc'] for row in rows if row['stage'] == stage]
        if len(scores) == len(targets):
            found.append({**dict.fromkeys(KEYS), 'target': 'mean', 'stage': stage, 'ccc': fmean(scores)})
    return found


def score_rows(run: Run, target: str) -> list[dict[str, Any]]:
    """Rows of report.json; measured here where the run, of an older version, has others or none."""
    rows = [row for row in run.rows if row.get('target') == target]
    if [row.get('stage') for row in rows[:3]] == list(STAGES) and all(map(_whole, rows)):
        return rows
    return [measured_row(target, stage, run.moments(target, stage), run.groups) for stage in STAGES]


def _whole(row: Mapping[str, Any]) -> bool:
    """Whether a row of a file has all that the table shows, in the right types."""
    ends = [row.get(key, '') for key in ('ccc_low', 'ccc_high')]
    numbers = [row.get(key) for key in KEYS[2:] if key not in ('ccc_low', 'ccc_high')]
    numbers += [end for end in ends if end is not None] + [row.get('effective')]
    # rows of version 0.1, which drew no groups, do not name the unit
    texts = isinstance(row.get('notes'), list) and isinstance(row.get('unit'), str)
    return texts and all(number(value) is not None for value in numbers)


def scores_note(run: Run, targets: Sequence[str]) -> str:
    """How the scores and their intervals came about."""
    units = dict.fromkeys(
        f'{row["unit"]}, which count as {row["effective"]:.1f} of equal length'
        for target in targets
        for row in score_rows(run, target)[:1]
    )
    drawn = f' Intervals: bootstrap over {"; ".join(units)}.' if units else ''
    return (
        f'Over all labelled frames of val together.{drawn} Frames of a video depend on one another, and so '
        'do videos of one person or session: whole groups are drawn, as far as they are known.'
    )


def bounds_table(run: Run, targets: Sequence[str]) -> list[Block]:
    """Bounds to compare the scores with, and what each of them knows."""
    if not targets:
        return []
    course = [_course(run, target) for target in targets]
    means = [Moments.pool(map(video_mean_bound, run.labels(target).values())).ccc for target in targets]
    columns = [Column('bound'), Column('predictions'), *(Column(t, '.4f', 'CCC') for t in targets)]
    rows: list[list[Any]] = [
        ['lower', 'constant: mean of the training labels', *(0.0 for _ in targets)],
        ['lower', COURSE, *course],
        ['upper', "mean of each video's own labels", *means],
    ]
    unknown = ' and '.join(t for t, score in zip(targets, course, strict=True) if score is None)
    again = f' The {COURSE} is unknown for {unknown}: test the run again.' if unknown else ''
    return [Table('Bounds to compare the scores with', columns, rows), Paragraph(BOUNDS + again)]


def _course(run: Run, target: str) -> float | None:
    """CCC of the mean over the training videos at each frame, which the test measured; None if it did not."""
    found = run.report.get('lower_bounds')
    bounds = found.get(target) if isinstance(found, dict) else None
    return number(bounds.get('course')) if isinstance(bounds, dict) else None


def intervals_table(run: Run) -> list[Block]:
    """What the intervals of each target are worth, of a run that was tested with them; [] of another."""
    columns = [
        Column('target'),
        Column('frames', hint='fraction of the frames of a new video, on average'),
        Column('mean width', '.3f', hint='in the labelled frames; all values are 2 wide'),
        Column('mean', '.1%', 'frames within, cross-validated', 'over the units'),
        Column('lowest', '.1%', 'frames within, cross-validated', 'of one unit'),
        Column('found on'),
    ]
    kept = {target: of for target in run.targets if (of := run.intervals(target)) is not None}
    there = {target: of for target, of in kept.items() if of.found.reach is not None}
    rows = [
        [target, of.found.level, of.found.width, of.found.covered, of.found.lowest, of.unit]
        for target, of in there.items()
    ]
    said = [f'{target}: there are no intervals: {of.found.obstacle}.' for target, of in kept.items()]
    missing = [text for target, text in zip(kept, said, strict=True) if target not in there]
    blocks: list[Block] = [Table('Intervals of frames', columns, rows)] if rows else []
    return [*blocks, *(Paragraph(text, warning=True) for text in missing)]


COURSE = 'mean over the training videos at each frame'
BOUNDS = (
    'Lower bounds know training labels only: a model that is not above them has learned nothing useful yet. '
    "The upper bound knows each validation video's true mean, which no model is given: it is the score of "
    'separating videos perfectly, without predicting their course.'
)


def calibration_table(run: Run, targets: Sequence[str]) -> Table:
    """Mean and standard deviation of labels and predictions, and what their differences cost."""
    columns = [
        Column('target'),
        Column('stage'),
        Column('mean', '.3f', 'labels'),
        Column('std', '.3f', 'labels'),
        Column('mean', '.3f', 'predictions'),
        Column('std', '.3f', 'predictions'),
        Column(
            'bias', '+.3f', 'predictions against labels', 'mean of the predictions minus that of the labels'
        ),
        Column('ratio', '.3f', 'predictions against labels', 'std of predictions over that of labels'),
        Column('as it is', '.4f', 'CCC'),
        Column('lost', '.4f', 'CCC', 'what mean and spread cost'),
        Column('calibrated', '.4f', 'CCC', 'after the best straight line; the PCC, where it is positive'),
    ]
    rows = []
    for target in targets:
        for stage in ('raw', 'smoothed'):
            m = Moments.pool(run.moments(target, stage).values())
            found = calibration(m)
            true, pred = math.sqrt(m.square_true / m.n), math.sqrt(m.square_pred / m.n)
            ratio = pred / true if true else None
            shifts = [found.bias, ratio, m.ccc, found.ccc - m.ccc, found.ccc]
            rows.append([target, stage, m.mean_true, true, m.mean_pred, pred, *shifts])
    return Table('Mean and spread on val', columns, rows)


CELLS = 64  # of a density, on each side
BINS = 20  # of the label, for errors
FEW = 10  # frames below which a bin has no mean worth drawing


class ErrorBins(NamedTuple):
    """Errors in bins of the label, (bins,): centres, frames, mean and standard deviation of the error."""

    centre: NDArray[np.float64]
    frames: NDArray[np.int64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]


def density(x: NDArray, y: NDArray, cells: int = CELLS) -> NDArray[np.int64]:
    """Frames in each cell of the square from -1 to 1, (cells, cells): rows by ``y``, columns by ``x``."""
    at = [np.clip(((v + 1) / 2 * cells).astype(np.int64), 0, cells - 1) for v in (y, x)]
    return np.bincount(at[0] * cells + at[1], minlength=cells * cells).reshape(cells, cells)


def error_bins(label: NDArray, pred: NDArray, bins: int = BINS) -> ErrorBins:
    """Mean and spread of ``pred - label`` in equal bins of the label from -1 to 1; NaN in an empty bin."""
    at = np.clip(((label + 1) / 2 * bins).astype(np.int64), 0, bins - 1)
    error = pred - label
    frames = np.bincount(at, minlength=bins)
    with np.errstate(invalid='ignore'):  # 0 / 0 is the NaN of an empty bin
        mean = np.bincount(at, error, bins) / frames
        square = np.bincount(at, (error - mean[at]) ** 2, bins) / frames
    return ErrorBins((np.arange(bins) + 0.5) * 2 / bins - 1, frames, mean, np.sqrt(square))


def labelled(run: Run, target: str) -> tuple[NDArray, NDArray]:
    """Labels and smoothed predictions of all labelled frames, each (frames,)."""
    preds, labels = run.predictions(target), run.labels(target)
    label = np.concatenate([labels[v] for v in preds])
    known = ~np.isnan(label)
    return label[known], np.concatenate(list(preds.values()))[known]


def density_figure(run: Run, target: str) -> Figure:
    """How often a label goes with a prediction."""
    line = {'type': 'line', 'x0': -1, 'y0': -1, 'x1': 1, 'y1': 1}
    layout = _square('label', 'prediction')
    layout['shapes'] = [{**line, 'line': {'color': FAINT, 'width': 1.2, 'dash': 'dot'}}]
    data = [_heatmap(density(*labelled(run, target)), 'label', 'prediction')]
    label = f'Density of smoothed predictions against labels of {target}'
    return Figure(
        {'data': data, 'layout': layout}, label, height=430, title=f'{target.capitalize()}: predictions'
    )


def error_figure(run: Run, target: str) -> Figure:
    """Mean and spread of the error per bin of the label."""
    found = error_bins(*labelled(run, target))
    there = found.frames >= FEW
    bars = {'type': 'data', 'array': found.std[there], 'color': FAINT, 'thickness': 1.2, 'width': 0}
    line = {'color': TARGETS[target], 'width': 1.8}
    hover = 'label %{x:.2f}: error %{y:.3f}, %{text} frames<extra></extra>'
    data = {'x': found.centre[there], 'y': found.mean[there], 'error_y': bars, 'mode': 'lines+markers'}
    data |= {'line': line, 'marker': {'size': 6}, 'hovertemplate': hover, 'showlegend': False}
    data['text'] = [f'{n:,}' for n in found.frames[there]]
    axis = {'title': {'text': 'label'}, 'range': [-1, 1]}
    layout = {'xaxis': axis, 'yaxis': {'title': {'text': 'prediction - label'}}}
    label = f'Mean and standard deviation of the error of {target} against the label'
    rare = int(((found.frames > 0) & ~there).sum())
    caption = f'Without {counted(rare, "bin")} of fewer than {FEW} frames.' if rare else ''
    return Figure({'data': [data], 'layout': layout}, label, caption, title=f'{target.capitalize()}: errors')


def plane_figures(run: Run) -> list[Block]:
    """The plane of valence and arousal: where labels lie, and where predictions do."""
    if len(run.targets) < 2:
        return [Paragraph(f'The run has predictions of {run.targets[0]} only: there is no plane to draw.')]
    valence, arousal = (run.labels(t) for t in run.targets)
    same = [v for v in valence if v in arousal and len(valence[v]) == len(arousal[v])]
    if not same:
        return [Paragraph('No video has predictions of both targets: there is no plane to draw.')]
    known = ~np.isnan(np.concatenate([valence[v] + arousal[v] for v in same]))
    figures = []
    for name, of in (('labels', run.labels), ('smoothed predictions', run.predictions)):
        x, y = (np.concatenate([of(t)[v] for v in same])[known] for t in run.targets)
        figure = {'data': [_heatmap(density(x, y), *run.targets)], 'layout': _square(*run.targets)}
        label = f'Density of {name} on the plane of valence and arousal'
        figures.append(Figure(figure, label, height=430, title=name.capitalize()))
    return [SideBySide(*figures)]


def _heatmap(counts: NDArray[np.int64], x: str, y: str) -> dict[str, Any]:
    """Cells shaded by the root of their frames, so that rare ones are visible; hovering shows the number."""
    step = 2 / len(counts)
    shade = np.where(counts, np.sqrt(counts), np.nan)  # the grid is seen through cells without a frame
    start = step / 2 - 1
    hover = f'{x} %{{x:.2f}}, {y} %{{y:.2f}}: %{{customdata:,}} frames<extra></extra>'
    return {
        **{'type': 'heatmap', 'x0': start, 'dx': step, 'y0': start, 'dy': step, 'z': shade},
        **{'customdata': counts, 'colorscale': DENSITY, 'showscale': False, 'hovertemplate': hover},
    }


def _square(x: str, y: str) -> dict[str, Any]:
    axis = {'range': [-1, 1], 'constrain': 'domain', 'dtick': 0.5, 'zeroline': True}
    up = {**axis, 'title': {'text': y}, 'scaleanchor': 'x'}
    return {'xaxis': {**axis, 'title': {'text': x}}, 'yaxis': up}


WINDOWS = tuple(range(0, 155, 5))
LONGEST = 1000  # frames: a longer window in use would squeeze the others and is only named
STEP = re.compile(r'MeanSmoothing\(window=(\d+)\)')


def smoothing_figure(run: Run, targets: Sequence[str]) -> list[Block]:
    """CCC against the one-sided window of a mean, with the best one and the one in use."""
    data: list[dict[str, Any]] = []
    best_ones, used_ones = [], []
    for target in targets:
        color, mark = TARGETS[target], TARGET_MARKS[target]
        used = used_window(run, target)
        windows = sorted({*WINDOWS, *(() if used is None else (used,))})
        scores = window_scores(run, target, windows)
        best = max(WINDOWS, key=scores.__getitem__)
        best_ones.append(f'{target} is best at {best} ({scores[best]:.4f})')
        hover = f'{target}: %{{y:.4f}}<extra></extra>'
        line = {'mode': 'lines', 'line': {'color': color, 'width': 1.8}, 'hovertemplate': hover}
        data.append({'x': list(scores), 'y': list(scores.values()), 'name': target, **line})
        open_mark = {'color': color, 'size': 10, 'symbol': f'{mark}-open', 'line': {'width': 2}}
        data.append(_point(best, scores[best], f'{target}, best', open_mark))
        if used is None:
            used_ones.append(f'{target}: {_steps(run, target) or "not recorded, test the run again"}')
        else:
            used_ones.append(f'{target} uses {used} ({scores[used]:.4f})')
            data.append(
                _point(used, scores[used], f'{target}, in use', {'color': color, 'size': 9, 'symbol': mark})
            )
    layout = {
        'xaxis': {'title': {'text': 'window w, frames on one side'}, 'rangemode': 'tozero'},
        'yaxis': {'title': {'text': 'CCC'}},
        'hovermode': 'x unified',
    }
    caption = (
        f'Open marks: the best of the windows {WINDOWS[0]}, {WINDOWS[1]}, ... {WINDOWS[-1]}: '
        f'{", ".join(best_ones)}. Filled marks: the window that smoothed the predictions of this page: '
        f'{", ".join(used_ones)}.'
    )
    return [Figure({'data': data, 'layout': layout}, 'CCC against the smoothing window', caption)]


def _point(x: int, y: float, name: str, marker: dict[str, Any]) -> dict[str, Any]:
    return {'x': [x], 'y': [y], 'name': name, 'mode': 'markers', 'marker': marker, 'hoverinfo': 'skip'}


def used_window(run: Run, target: str) -> int | None:
    """The one-sided window of the mean that smoothed a target; None if it is unknown, or no mean."""
    windows = run.report.get('windows')  # as older versions write it
    found = windows.get(target) if isinstance(windows, dict) else None
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= LONGEST:
        return found
    steps = _steps(run, target)
    if steps == '':
        return 0
    match = STEP.fullmatch(steps or '')
    return int(match[1]) if match and int(match[1]) <= LONGEST else None


def _steps(run: Run, target: str) -> str | None:
    """The post-processing of val, as text; None where it is unknown."""
    steps: Any = run.report.get('postprocess')
    for key in ('val', target):
        steps = steps.get(key) if isinstance(steps, dict) else None
    return ', '.join(map(str, steps)) if isinstance(steps, list) else None


def window_scores(run: Run, target: str, windows: Iterable[int]) -> dict[int, float]:
    """CCC over all labelled frames by window."""
    preds, labels = run.predictions(target, 'raw'), run.labels(target)
    return {w: _pooled(preds, labels, w).ccc for w in windows}


def _pooled(preds: dict[str, Any], labels: dict[str, Any], window: int) -> Moments:
    return Moments.pool(moments(labels[v], smooth_and_clip(pred, window)) for v, pred in preds.items())
