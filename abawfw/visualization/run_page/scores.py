"""Tables of scores over all videos."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from abawfw.evaluation.file_numbers import number
from abawfw.evaluation.functional import Moments, calibration, video_mean_bound
from abawfw.evaluation.report_table import measured_row
from abawfw.evaluation.tested_run import STAGES, TestedRun
from abawfw.visualization.blocks import Block, Column, Paragraph, Table

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


def scores_table(run: TestedRun, targets: Sequence[str]) -> list[Block]:
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


def score_rows(run: TestedRun, target: str) -> list[dict[str, Any]]:
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


def scores_note(run: TestedRun, targets: Sequence[str]) -> str:
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


def bounds_table(run: TestedRun, targets: Sequence[str]) -> list[Block]:
    """What the scores are to be held against, and what each of it knows."""
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
    return [Table('What the scores are to be held against', columns, rows), Paragraph(BOUNDS + again)]


def _course(run: TestedRun, target: str) -> float | None:
    """CCC of the mean over the training videos at each frame, which the test measured; None if it did not."""
    found = run.report.get('lower_bounds')
    bounds = found.get(target) if isinstance(found, dict) else None
    return number(bounds.get('course')) if isinstance(bounds, dict) else None


COURSE = 'mean over the training videos at each frame'
BOUNDS = (
    'Lower bounds know training labels only: a model that is not above them has learned nothing of use yet. '
    "The upper bound knows each validation video's true mean, which no model is given: it is what telling "
    'videos apart perfectly, but not their course, would reach.'
)


def calibration_table(run: TestedRun, targets: Sequence[str]) -> Table:
    """Mean and deviation of labels and predictions, and what their differences cost."""
    columns = [
        Column('target'),
        Column('stage'),
        Column('mean', '.3f', 'labels'),
        Column('deviation', '.3f', 'labels'),
        Column('mean', '.3f', 'predictions'),
        Column('deviation', '.3f', 'predictions'),
        Column(
            'bias', '+.3f', 'predictions against labels', 'mean of the predictions less that of the labels'
        ),
        Column('ratio', '.3f', 'predictions against labels', 'deviation of predictions over that of labels'),
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
