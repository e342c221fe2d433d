"""Figures of a comparison: scores with their intervals, differences, and videos against one another."""

from __future__ import annotations

from typing import Any

from abawfw.evaluation.comparison import Comparison
from abawfw.visualization.blocks import Figure
from abawfw.visualization.embed import plot_text
from abawfw.visualization.palette import FAINT, SERIES, TARGETS

APART = {'scattermode': 'group', 'scattergap': 0.4}


def scores_figure(comparison: Comparison) -> Figure:
    """CCC of every run with its interval, a colour for each target."""
    data = []
    for target in comparison.targets:
        pooled = [comparison.ccc(k, target) for k in range(len(comparison.runs))]
        intervals = zip(comparison.intervals[target], pooled, strict=True)
        ends = [interval or (ccc, ccc) for interval, ccc in intervals]
        data.append(
            {
                **_dots(target, TARGETS[target]),
                'x': pooled,
                'y': [plot_text(name) for name in comparison.names],
                'error_x': _error(
                    [high - ccc for (_, high), ccc in zip(ends, pooled, strict=True)],
                    [ccc - low for (low, _), ccc in zip(ends, pooled, strict=True)],
                ),
            }
        )
    layout = {'xaxis': {'title': {'text': 'CCC'}}, 'yaxis': _names_axis(), **APART}
    return Figure(
        {'data': data, 'layout': layout},
        'CCC of each run and target, with 95 % intervals',
        'Dots are CCCs over all frames, lines 95 % intervals over videos. Runs can differ for sure though '
        'their intervals overlap, since the videos are the same: see the differences.',
        height=130 + 46 * len(comparison.names),
    )


def differences_figure(comparison: Comparison) -> Figure:
    """Differences to the baseline with their intervals."""
    data = []
    for target in dict.fromkeys(score.target for score in comparison.scores):
        scores = [s for s in comparison.scores if s.target == target]
        reach = [0.0 if s.difference.high is None else s.difference.high - s.difference.value for s in scores]
        data.append(
            {
                **_dots(target, TARGETS.get(target, FAINT)),
                'x': [s.difference.value for s in scores],
                'y': [plot_text(s.run) for s in scores],
                'error_x': _error(reach, reach),
            }
        )
    zero = {
        'type': 'line',
        'x0': 0,
        'x1': 0,
        'y0': 0,
        'y1': 1,
        'yref': 'paper',
        'line': {'color': FAINT, 'width': 1},
    }
    axis = {'title': {'text': f'CCC less that of {plot_text(comparison.names[0])}'}}
    layout = {'xaxis': axis, 'yaxis': _names_axis(), 'shapes': [zero], **APART}
    return Figure(
        {'data': data, 'layout': layout},
        'Difference of each run to the baseline, with 95 % intervals',
        'Right of the line a run is better. Where an interval crosses it, the videos at hand cannot tell.',
        height=150 + 46 * (len(comparison.names) - 1),
    )


def videos_figure(comparison: Comparison, target: str) -> Figure:
    """Every video's own CCC in the baseline and in the other runs."""
    data = []
    for k, name in enumerate(comparison.names[1:], start=1):
        points = [
            (plot_text(video), a.ccc, b.ccc, a.n)
            for video, a, b in zip(
                comparison.videos, comparison.moments[target][0], comparison.moments[target][k], strict=True
            )
            if a.own_ccc is not None and b.own_ccc is not None
        ]
        data.append(
            {
                'type': 'scatter',
                'mode': 'markers',
                'name': plot_text(name),
                'x': [p[1] for p in points],
                'y': [p[2] for p in points],
                'text': [f'{video}, {n:,} frames' for video, *_, n in points],
                'hovertemplate': '%{text}<br>%{x:.3f} and %{y:.3f}<extra></extra>',
                'marker': {'color': SERIES[(k - 1) % len(SERIES)], 'size': 8, 'opacity': 0.75},
            }
        )
    diagonal = {
        'type': 'line',
        'x0': -1,
        'x1': 1,
        'y0': -1,
        'y1': 1,
        'line': {'color': FAINT, 'width': 1, 'dash': 'dot'},
    }
    layout = {
        'title': {'text': target},
        'xaxis': {'title': {'text': plot_text(comparison.names[0])}, 'range': [-1.02, 1.02]},
        'yaxis': {'title': {'text': 'the other run'}, 'range': [-1.02, 1.02]},
        'shapes': [diagonal],
        'showlegend': len(data) > 1,
    }
    return Figure(
        {'data': data, 'layout': layout},
        f'Own CCC of each video in {target}: baseline against the other runs',
        height=420,
    )


def _dots(name: str, color: str) -> dict[str, Any]:
    # a line of its own for each target beside the name of a run
    apart = {'orientation': 'h', 'offsetgroup': name}
    return {
        'type': 'scatter',
        'mode': 'markers',
        'name': name,
        'marker': {'color': color, 'size': 9},
        **apart,
    }


def _error(above: list[float], below: list[float]) -> dict[str, Any]:
    return {'type': 'data', 'array': above, 'arrayminus': below, 'thickness': 1.5, 'width': 5}


def _names_axis() -> dict[str, Any]:
    return {'autorange': 'reversed', 'type': 'category'}
