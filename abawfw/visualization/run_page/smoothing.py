"""What other smoothing windows would give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from abawfw.evaluation.functional import Moments, moments, smooth_and_clip
from abawfw.evaluation.tested_run import TestedRun
from abawfw.visualization.blocks import Block, Figure
from abawfw.visualization.palette import TARGETS

WINDOWS = tuple(range(0, 155, 5))


def smoothing_figure(run: TestedRun, targets: Sequence[str]) -> list[Block]:
    """CCC against the one-sided window of a mean."""
    data: list[dict[str, Any]] = []
    said = []
    for target in targets:
        color = TARGETS[target]
        scores = window_scores(run, target, WINDOWS)
        best = max(scores, key=scores.__getitem__)
        said.append(f'{target} is best at {best} ({scores[best]:.4f})')
        line = {'color': color, 'width': 1.8}
        x, y = list(scores), list(scores.values())
        data.append({'x': x, 'y': y, 'name': target, 'mode': 'lines', 'line': line})
        marker = {'color': color, 'size': 9, 'symbol': 'circle-open', 'line': {'width': 2}}
        point = {'mode': 'markers', 'marker': marker, 'showlegend': False, 'hoverinfo': 'skip'}
        data.append({'x': [best], 'y': [scores[best]], 'name': target, **point})
    axes = {'xaxis': {'title': {'text': 'window w, frames on one side'}}, 'yaxis': {'title': {'text': 'CCC'}}}
    layout = {**axes, 'hovermode': 'x unified'}
    caption = f'The circle marks the best of these windows: {", ".join(said)}.'
    return [Figure({'data': data, 'layout': layout}, 'CCC against the smoothing window', caption)]


def window_scores(run: TestedRun, target: str, windows: Sequence[int]) -> dict[int, float]:
    """CCC over all labelled frames by window."""
    preds, labels = run.predictions(target, 'raw'), run.labels(target)
    return {w: _pooled(preds, labels, w).ccc for w in windows}


def _pooled(preds: dict[str, Any], labels: dict[str, Any], window: int) -> Moments:
    return Moments.pool(moments(labels[v], smooth_and_clip(pred, window)) for v, pred in preds.items())
