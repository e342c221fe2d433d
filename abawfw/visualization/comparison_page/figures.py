"""Figures of a comparison: scores with their intervals, differences, and videos against one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from abawfw.errors import counted
from abawfw.evaluation.comparison import Comparison, level_text
from abawfw.visualization.blocks import Figure
from abawfw.visualization.comparison_page.looks import short_names
from abawfw.visualization.embed import plot_text
from abawfw.visualization.palette import FAINT, TARGET_MARKS, TARGETS, look

APART = {'scattermode': 'group', 'scattergap': 0.4}


def scores_figure(comparison: Comparison) -> Figure:
    """CCC of every run with its interval, a colour for each target."""
    data = []
    for target in comparison.targets:
        pooled = [comparison.ccc(k, target) for k in range(len(comparison.runs))]
        intervals = zip(comparison.intervals[target], pooled, strict=True)
        ends = [(ccc, ccc) if i.low is None or i.high is None else (i.low, i.high) for i, ccc in intervals]
        above = [high - ccc for (_, high), ccc in zip(ends, pooled, strict=True)]
        below = [ccc - low for (low, _), ccc in zip(ends, pooled, strict=True)]
        data.append(_dots(target, pooled, comparison.names, (above, below)))
    axis = _names_axis(comparison.names, comparison.names)
    layout = {'xaxis': {'title': {'text': 'CCC'}}, 'yaxis': axis, **APART}
    return Figure(
        {'data': data, 'layout': layout},
        'CCC of each run and target, with 95 % intervals',
        f'Dots are CCCs over all frames, lines 95 % intervals over {comparison.unit}s. Runs can '
        'differ though '
        'their intervals overlap, since the videos are the same: see the differences.',
        height=130 + 46 * len(comparison.names),
    )


def differences_figure(comparison: Comparison) -> Figure:
    """Differences to the baseline with their intervals."""
    data = []
    for target in dict.fromkeys(score.target for score in comparison.scores):
        scores = [s for s in comparison.scores if s.target == target]
        values = [s.difference.value for s in scores]
        above = [0.0 if d.high is None else d.high - d.value for d in (s.difference for s in scores)]
        below = [0.0 if d.low is None else d.value - d.low for d in (s.difference for s in scores)]
        data.append(_dots(target, values, [s.run for s in scores], (above, below)))
    zero = {
        'type': 'line',
        'x0': 0,
        'x1': 0,
        'y0': 0,
        'y1': 1,
        'yref': 'paper',
        'line': {'color': FAINT, 'width': 1},
    }
    axis = {'title': {'text': f'CCC less that of {plot_text(short_names(comparison.names)[0])}'}}
    names = _names_axis(comparison.names, comparison.names[1:])
    layout = {'xaxis': axis, 'yaxis': names, 'shapes': [zero], **APART}
    return Figure(
        {'data': data, 'layout': layout},
        f'Difference of each run to the baseline, with {level_text(comparison.level)} intervals',
        'A run is better where its interval lies right of the line, worse where it lies left of it. Where it '
        'crosses or touches the line, the difference is not significant.',
        height=150 + 46 * (len(comparison.names) - 1),
    )


def videos_figure(comparison: Comparison, target: str) -> Figure:
    """Every video's own CCC in the baseline and in the other runs."""
    names = [plot_text(name) for name in short_names(comparison.names)]
    data = []
    for k, name in enumerate(comparison.names[1:], start=1):
        color, _, mark = look(k)
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
                'name': names[k],
                'x': [p[1] for p in points],
                'y': [p[2] for p in points],
                'text': [f'{video}, {counted(n, "frame")}' for video, *_, n in points],
                'meta': _whole(name),
                'hovertemplate': '%{text}<br>%{x:.3f} and %{y:.3f}<br>%{meta}<extra></extra>',
                'marker': {'color': color, 'symbol': mark, 'size': 8, 'opacity': 0.75},
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
        'xaxis': {'title': {'text': names[0]}, 'range': [-1.02, 1.02]},
        'yaxis': {'title': {'text': 'the other run'}, 'range': [-1.02, 1.02]},
        'shapes': [diagonal],
        'showlegend': len(data) > 1,
    }
    return Figure(
        {'data': data, 'layout': layout},
        f'Own CCC of each video in {target}: baseline against the other runs',
        height=390,
        title=target,
    )


def _dots(
    name: str,
    values: Sequence[float],
    runs: Sequence[str],
    reach: tuple[Sequence[float], Sequence[float]],
) -> dict[str, Any]:
    """A dot per run, with what it reaches above and below."""
    above, below = reach
    texts = [
        f'{_whole(run)}<br>{value:.4f}' + (f', {value - down:.4f} to {value + up:.4f}' if up or down else '')
        for run, value, up, down in zip(runs, values, above, below, strict=True)
    ]
    return {
        'type': 'scatter',
        'mode': 'markers',
        'name': name,
        'x': values,
        'y': [plot_text(run) for run in runs],
        'text': texts,
        'hovertemplate': '%{text}',
        'marker': {'color': TARGETS.get(name, FAINT), 'size': 9, 'symbol': TARGET_MARKS.get(name, 'square')},
        'error_x': {'type': 'data', 'array': above, 'arrayminus': below, 'thickness': 1.5, 'width': 5},
        # a line of its own for each target beside the name of a run
        'orientation': 'h',
        'offsetgroup': name,
    }


def _whole(name: str) -> str:
    """A name in full, broken into lines for a box that is shown under the pointer."""
    return '<br>'.join(plot_text(name[i : i + 60]) for i in range(0, len(name), 60))


def _names_axis(names: Sequence[str], shown: Sequence[str]) -> dict[str, Any]:
    """An axis of those runs that are shown, with names that leave room for the figure."""
    short = dict(zip(names, short_names(names), strict=True))
    return {
        'autorange': 'reversed',
        'type': 'category',
        'tickmode': 'array',
        'tickvals': [plot_text(name) for name in shown],
        'ticktext': [plot_text(short[name]) for name in shown],
    }
