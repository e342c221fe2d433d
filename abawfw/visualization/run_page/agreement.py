"""Predictions against labels, counted: pictures of millions of frames that stay small."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import counted
from abawfw.evaluation.tested_run import TestedRun
from abawfw.visualization.blocks import Block, Figure, Paragraph, SideBySide
from abawfw.visualization.palette import DENSITY, FAINT, TARGETS

CELLS = 64  # of a density, on each side
BINS = 20  # of the label, for errors
FEW = 10  # frames below which a bin has no mean worth drawing


class ErrorBins(NamedTuple):
    """Errors in bins of the label, (bins,): centres, frames, mean and standard deviation of the error."""

    centre: NDArray[np.float64]
    frames: NDArray[np.int64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


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


def labelled(run: TestedRun, target: str) -> tuple[NDArray, NDArray]:
    """Labels and smoothed predictions of all labelled frames, each (frames,)."""
    preds, labels = run.predictions(target), run.labels(target)
    label = np.concatenate([labels[v] for v in preds])
    known = ~np.isnan(label)
    return label[known], np.concatenate(list(preds.values()))[known]


def density_figure(run: TestedRun, target: str) -> Figure:
    """How often a label goes with a prediction."""
    line = {'type': 'line', 'x0': -1, 'y0': -1, 'x1': 1, 'y1': 1}
    layout = _square('label', 'prediction')
    layout['shapes'] = [{**line, 'line': {'color': FAINT, 'width': 1.2, 'dash': 'dot'}}]
    data = [_heatmap(density(*labelled(run, target)), 'label', 'prediction')]
    label = f'Density of smoothed predictions against labels of {target}'
    return Figure(
        {'data': data, 'layout': layout}, label, height=430, title=f'{target.capitalize()}: predictions'
    )


def error_figure(run: TestedRun, target: str) -> Figure:
    """Mean and spread of the error per bin of the label."""
    found = error_bins(*labelled(run, target))
    there = found.frames >= FEW
    bars = {'type': 'data', 'array': found.deviation[there], 'color': FAINT, 'thickness': 1.2, 'width': 0}
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


def plane_figures(run: TestedRun) -> list[Block]:
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
    """Cells shaded by the root of their frames, so that rare ones are seen; hovering tells the number."""
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
