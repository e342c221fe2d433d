"""How training went."""

from __future__ import annotations

from typing import Any

from abawfw.evaluation.tested_run import TestedRun
from abawfw.visualization.blocks import Block, Figure, Paragraph, SideBySide
from abawfw.visualization.palette import INK, TARGET_MARKS, TARGETS

PARTS = (
    ('train_ccc_{}', '{}, train', 'dot'),
    ('val_ccc_{}_smoothed', '{}, val smoothed', 'dash'),
    ('val_ccc_{}', '{}, val raw', 'solid'),
)
LOSSES = (('loss', 'train', 'solid'), ('val_loss', 'val', 'dash'))


def training_blocks(run: TestedRun) -> list[Block]:
    """Loss and CCC over the epochs."""
    if not run.epochs:
        return [Paragraph('The run has no metrics.csv with finished epochs.')]
    axis: dict[str, Any] = {'title': {'text': 'epoch'}}
    if len(run.epochs) < 12:
        axis['dtick'] = 1
    loss = [_line(run, key, name, INK, dash) for key, name, dash in LOSSES if key in run.epochs[-1]]
    scores = [
        _line(run, key.format(target), name.format(target), color, dash, TARGET_MARKS[target])
        for target, color in TARGETS.items()
        for key, name, dash in PARTS
        if key.format(target) in run.epochs[-1]
    ]
    best = run.summary.get('best')
    kept = [
        f'{name.removeprefix("ccc_")}: epoch {entry["epoch"]}'
        for name, entry in (best.items() if isinstance(best, dict) else ())
        if isinstance(entry, dict) and 'epoch' in entry and name != 'ccc'
    ]
    caption = f'The best checkpoints, by the raw CCC on val: {", ".join(kept)}.' if kept else ''
    look = {'xaxis': axis, 'showlegend': True}
    axes = [{**look, 'yaxis': {'title': {'text': name}}} for name in ('loss', 'CCC')]
    label = 'CCC over the epochs, on training and validation data'
    return [
        SideBySide(
            Figure({'data': loss, 'layout': axes[0]}, 'Loss over the epochs of training', title='Loss'),
            Figure({'data': scores, 'layout': axes[1]}, label, caption, title='CCC'),
        )
    ]


def _line(run: TestedRun, key: str, name: str, color: str, dash: str, mark: str = 'circle') -> dict[str, Any]:
    x = [row.get('epoch', i) for i, row in enumerate(run.epochs, 1)]
    y = [row.get(key) for row in run.epochs]
    # one point alone has no line
    mode = 'lines+markers' if len(x) < 40 and (dash == 'solid' or len(x) == 1) else 'lines'
    look = {'mode': mode, 'line': {'color': color, 'dash': dash, 'width': 1.8}}
    return {'x': x, 'y': y, 'name': name, **look, 'marker': {'size': 6, 'color': color, 'symbol': mark}}
