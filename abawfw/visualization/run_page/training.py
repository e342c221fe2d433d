"""How training went."""

from __future__ import annotations

from typing import Any

from abawfw.evaluation.tested_run import TestedRun
from abawfw.visualization.blocks import Block, Figure, Paragraph, SideBySide
from abawfw.visualization.palette import INK, TARGETS

PARTS = (('train_ccc_{}', 'dot'), ('val_ccc_{}_smoothed', 'dash'), ('val_ccc_{}', 'solid'))
DASHES = 'Solid: val, raw. Dashed: val, smoothed. Dotted: train.'


def training_blocks(run: TestedRun) -> list[Block]:
    """Loss and CCC over the epochs."""
    if not run.epochs:
        return [Paragraph('The run has no metrics.csv with finished epochs.')]
    x = [row.get('epoch', i) for i, row in enumerate(run.epochs, 1)]
    axis: dict[str, Any] = {'title': {'text': 'epoch'}}
    if len(x) < 12:
        axis['dtick'] = 1
    loss = [_line(x, run, key, name, INK, dash) for key, name, dash in LOSSES if key in run.epochs[-1]]
    scores = [
        _line(x, run, key.format(target), target, color, dash)
        for target, color in TARGETS.items()
        for key, dash in PARTS
        if key.format(target) in run.epochs[-1]
    ]
    best = run.summary.get('best')
    kept = [
        f'{name.removeprefix("ccc_")}: epoch {entry["epoch"]}'
        for name, entry in (best.items() if isinstance(best, dict) else ())
        if isinstance(entry, dict) and 'epoch' in entry and name != 'ccc'
    ]
    caption = f'{DASHES} The best checkpoints, by the raw CCC on val: {", ".join(kept)}.' if kept else DASHES
    return [
        SideBySide(
            Figure(
                {'data': loss, 'layout': {'xaxis': axis}}, 'Loss over the epochs of training', title='Loss'
            ),
            Figure(
                {'data': scores, 'layout': {'xaxis': axis}},
                'CCC over the epochs, on training and validation data',
                caption,
                title='CCC',
            ),
        )
    ]


LOSSES = (('loss', 'train', 'solid'), ('val_loss', 'val', 'dash'))


def _line(x: list[float], run: TestedRun, key: str, name: str, color: str, dash: str) -> dict[str, Any]:
    line = {'color': color, 'dash': dash, 'width': 1.8}
    y = [row.get(key) for row in run.epochs]
    # one point alone has no line
    mode = 'lines+markers' if len(x) < 40 and (dash == 'solid' or len(x) == 1) else 'lines'
    look = {'mode': mode, 'line': line, 'marker': {'size': 5}}
    return {'x': x, 'y': y, 'name': name, 'legendgroup': name, 'showlegend': dash == 'solid', **look}
