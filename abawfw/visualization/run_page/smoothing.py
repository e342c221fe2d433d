"""What other smoothing windows would give."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from abawfw.evaluation.functional import Moments, moments, smooth_and_clip
from abawfw.evaluation.tested_run import TestedRun
from abawfw.visualization.blocks import Block, Figure
from abawfw.visualization.palette import TARGET_MARKS, TARGETS

WINDOWS = tuple(range(0, 155, 5))
LONGEST = 1000  # frames: a longer window in use would squeeze the others and is only named
STEP = re.compile(r'MeanSmoothing\(window=(\d+)\)')


def smoothing_figure(run: TestedRun, targets: Sequence[str]) -> list[Block]:
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


def used_window(run: TestedRun, target: str) -> int | None:
    """The one-sided window of the mean that smoothed a target; None if it is unknown, or no mean."""
    windows = run.report.get('windows')  # as older versions say it
    found = windows.get(target) if isinstance(windows, dict) else None
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= LONGEST:
        return found
    steps = _steps(run, target)
    if steps == '':
        return 0
    match = STEP.fullmatch(steps or '')
    return int(match[1]) if match and int(match[1]) <= LONGEST else None


def _steps(run: TestedRun, target: str) -> str | None:
    """The post-processing of val, as text; None where it is unknown."""
    steps: Any = run.report.get('postprocess')
    for key in ('val', target):
        steps = steps.get(key) if isinstance(steps, dict) else None
    return ', '.join(map(str, steps)) if isinstance(steps, list) else None


def window_scores(run: TestedRun, target: str, windows: Iterable[int]) -> dict[int, float]:
    """CCC over all labelled frames by window."""
    preds, labels = run.predictions(target, 'raw'), run.labels(target)
    return {w: _pooled(preds, labels, w).ccc for w in windows}


def _pooled(preds: dict[str, Any], labels: dict[str, Any], window: int) -> Moments:
    return Moments.pool(moments(labels[v], smooth_and_clip(pred, window)) for v, pred in preds.items())
