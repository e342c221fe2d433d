"""Tables of a comparison: scores, differences, and what runs add to an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from abawfw.evaluation.comparison import MEAN, Comparison, level_text
from abawfw.evaluation.file_numbers import number
from abawfw.evaluation.functional import Moments
from abawfw.visualization.blocks import Column, Table
from abawfw.visualization.comparison_page.looks import short_names


def scores_table(comparison: Comparison) -> Table:
    """Scores of every run over all frames, and how long it was trained."""
    c = comparison
    columns = [Column('run')]
    for target in c.targets:
        columns += [Column(title, '.4f', target) for title in ('CCC', 'low', 'high', 'PCC', 'RMSE')]
    if len(c.targets) > 1:
        columns.append(Column('CCC', '.4f', MEAN))
    columns += [Column('epochs', ',', 'run'), Column('seed', '.0f', 'run'), Column('seconds', ',.0f', 'run')]
    rows = []
    for k, (name, run) in enumerate(zip(short_names(c.names), c.runs, strict=True)):
        row: list[Any] = [name]
        for target in c.targets:
            pooled = Moments.pool(c.moments[target][k])
            interval = c.intervals[target][k]
            row += [pooled.ccc, interval.low, interval.high, pooled.pcc, pooled.rmse]
        if len(c.targets) > 1:
            row.append(c.ccc(k, MEAN))
        epochs = run.summary.get('epochs')
        done = epochs.get('done') if isinstance(epochs, dict) else None
        row += [number(value) for value in (done, run.summary.get('seed'), run.summary.get('seconds'))]
        rows.append(row)
    return Table(f'Scores of each run; low and high: 95 % interval over {c.unit}s', columns, rows)


def differences_table(comparison: Comparison) -> Table:
    """Every run less the baseline, with intervals, p-values and verdict."""
    columns = [
        Column('run'),
        Column('target'),
        Column('difference', '+.4f', hint='CCC of the run less CCC of the baseline'),
        Column('low', '+.4f'),
        Column('high', '+.4f'),
        Column('p', '.4f', hint=f'paired bootstrap over {comparison.unit}s'),
        Column('p swapped', '.4f', hint=f'runs exchanged within {comparison.unit}s at random'),
        Column('p corrected', '.4f', hint=f'the larger of both times {comparison.comparisons}, 1 at most'),
        Column('verdict'),
    ]
    short = dict(zip(comparison.names, short_names(comparison.names), strict=True))
    rows = [
        [
            *(short[s.run], s.target, s.difference.value, s.difference.low, s.difference.high),
            *(s.difference.p_value, s.permutation, s.corrected, s.verdict),
        ]
        for s in comparison.scores
    ]
    level = level_text(comparison.level)
    return Table(f'CCC of each run less that of the baseline; low and high: {level} interval', columns, rows)


def ensemble_table(rule: str, rows: Sequence[Sequence[Any]]) -> Table:
    """What each run adds to an ensemble; see ``ComparisonPage`` for the rows."""
    together = rows[0][3]
    reached = 'cannot be measured on one video or group' if together is None else f'CCC {together:.4f}'
    columns = [
        Column('run'),
        Column('alone', '.4f', hint='CCC of the run alone'),
        Column('weight', '.3f'),
        Column('without', '.4f', hint='CCC of the ensemble of the others, weighted anew'),
        Column('adds', '+.4f', hint='CCC of the ensemble less CCC without the run'),
        Column('errors', '.2f', hint='mean correlation of its errors with those of the others'),
    ]
    names = short_names([row[0] for row in rows])
    values = [[name, *row[1:3], *row[4:]] for name, row in zip(names, rows, strict=True)]
    return Table(f'Weights by rule {rule}: {reached}', columns, values)
