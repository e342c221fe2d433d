"""Validation results of many runs in one table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeAlias

from abawfw.errors import DataError
from abawfw.json_files import read_json
from abawfw.results.report_file import recorded
from abawfw.results.report_table import CROSS_VALIDATED, aligned

READING = (
    'val CCC by stage of the predictions: raw, of the best epoch; smoothed, of the same weights after '
    'post-processing, cross-validated where that was tuned on val (an ensemble averages clipped or smoothed)'
)
COUNTED = ('smoothed', CROSS_VALIDATED)  # stages of a report
Row: TypeAlias = dict[str, Any]  # column -> text, number, or None where there is nothing


def read_scores(work_dir: Path, targets: Sequence[str]) -> dict[str, float] | None:
    """Validation CCC of a run that is trained and tested, from its own files.

    Returns:
        ``ccc_TARGET`` of each target's best epoch (``best`` in summary.json), ``ccc_TARGET_smoothed`` of the
        same weights (predictions/report.json; cross-validated where post-processing was tuned on val), and
        before them their means over the targets, ``ccc`` and ``ccc_smoothed``; None where one of the files is
        missing or says nothing of a target, or where another checkpoint than the best one was tested.
    """
    try:
        best = read_json(work_dir / 'summary.json')['best']
        report = read_json(work_dir / 'predictions/report.json')
        # the cross-validated row, if there is one, comes after the tuned one, and counts
        smoothed = {r['target']: r['ccc'] for r in report['rows']['val'] if r['stage'] in COUNTED}
        raw = {target: best[f'ccc_{target}']['score'] for target in targets}
        tested = {t: made for t in targets if (made := recorded(report, 'val', t)) is not None}
        if any(Path(made['checkpoint']).name != best[f'ccc_{t}']['file'] for t, made in tested.items()):
            return None
        scores = {'ccc': fmean(raw.values()), 'ccc_smoothed': fmean(smoothed[t] for t in targets)}
    except (DataError, ValueError, KeyError, TypeError):
        return None
    for target in targets:
        scores |= {f'ccc_{target}': raw[target], f'ccc_{target}_smoothed': smoothed[target]}
    return scores


def mean_and_deviation(rows: Sequence[Row], scores: Sequence[str]) -> list[Row]:
    """Two rows: the mean of each score over the rows, and the sample deviation (n - 1), None of one row."""
    columns = {name: [row[name] for row in rows] for name in scores}
    return [
        {'run': 'mean', **{name: fmean(values) for name, values in columns.items()}},
        {'run': 'deviation', **{name: stdev(v) if len(v) > 1 else None for name, v in columns.items()}},
    ]


def columns_of(rows: Sequence[Row]) -> list[str]:
    """All columns of the rows, in the order in which they come."""
    return list(dict.fromkeys(name for row in rows for name in row))


def to_csv(rows: Sequence[Row]) -> str:
    """The table as CSV, numbers with all their digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns_of(rows), restval='', lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_text(rows: Sequence[Row]) -> str:
    """The table as aligned text, scores with four digits after the point and the stage in their title."""
    columns = columns_of(rows)
    lines = [list(map(_title, columns)), *([_cell(name, row.get(name)) for name in columns] for row in rows)]
    return '\n'.join(aligned(lines, [i for i, name in enumerate(columns) if not name.startswith('ccc')]))


def _title(name: str) -> str:
    """Of a column: keys without a stage are of raw predictions, as everywhere."""
    if not name.startswith('ccc'):
        return name
    return f'{name.removesuffix("_smoothed")} {"smoothed" if name.endswith("_smoothed") else "raw"}'


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ''
    return f'{value:.4f}' if name.startswith('ccc') else str(value)
