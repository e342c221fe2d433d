"""The table that a test run prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from abawfw.evaluation.functional import Moments, bootstrap_ccc, effective_number, moments
from abawfw.evaluation.postprocess import Pipeline, Tuned
from abawfw.groups import Groups

HEADER = ('target', 'stage', 'CCC', '95 % interval', 'PCC', 'RMSE', 'frames', 'videos')
CROSS_VALIDATED = 'cross-validated'  # the stage of what post-processing that was tuned is worth
EPOCHS_TOO = 'still too high where the epoch of a run was chosen on these videos, too'
COUNTED = ('smoothed', CROSS_VALIDATED)  # stages whose last row is the score of a target


def report_rows(
    target: str,
    preds: Mapping[str, Any],
    labels: Mapping[str, Any],
    postprocess: Pipeline | int,
    faces: Mapping[str, Any] | None = None,
    groups: Groups | None = None,
) -> list[dict[str, Any]]:
    """Measure raw, clipped and smoothed predictions of one target.

    Args:
        target: its name.
        preds: raw predictions of each video, (frames,).
        labels: of each video, NaN where there is none.
        postprocess: what smooths and clips, or the one-sided window of a mean in frames.
        faces: where a face was found, (frames,) bool or None by video, for post-processing that needs it.
        groups: of the videos, as far as they are known: whole groups are drawn.

    Returns:
        Three rows, ready for JSON: target, stage, ccc, ccc_low and ccc_high (None without an interval), pcc,
        rmse, frames and videos (those with a label), unit (what was drawn, as text), effective (as how many
        units of equal length they count), notes.

    Raises:
        DataError: lengths differ, no frame has a label, or a prediction is not finite.
    """
    stages = {
        'raw': preds,
        'clipped': {video: np.clip(pred, -1.0, 1.0) for video, pred in preds.items()},
        'smoothed': Pipeline.of(postprocess).videos(preds, faces),
    }
    return [
        measured_row(target, stage, {v: moments(labels[v], x) for v, x in of.items()}, groups)
        for stage, of in stages.items()
    ]


def cross_validated_rows(
    rows: Sequence[Mapping[str, Any]],
    tuned: Tuned,
    labels: Mapping[str, Any],
    groups: Groups | None = None,
) -> list[dict[str, Any]]:
    """The rows of a target whose post-processing was tuned on these very videos, and its worth on others.

    Args:
        rows: as ``report_rows`` gives them, for ``tuned.pipeline``.
        tuned: what was chosen or fitted.
        labels: of each video, NaN where there is none.
        groups: see ``report_rows``.

    Returns:
        The rows, the smoothed one with a note that it is no estimate, and one of the stage
        ``CROSS_VALIDATED``, if there are two labelled videos, or groups of them, or more.
    """
    *before, smoothed = (dict(row) for row in rows)
    if not tuned.left_out:
        unit = (groups or Groups()).unit(labels)
        note = (
            f'tuned on the one labelled {unit}, so no estimate for others; cross-validation, which '
            'gives one, '
            'needs two'
        )
        return [*before, {**smoothed, 'notes': [*smoothed['notes'], note]}]
    note = f'tuned on these videos, so no estimate for others; the row {CROSS_VALIDATED} is one, {EPOCHS_TOO}'
    smoothed['notes'] = [*smoothed['notes'], note]
    parts = {video: moments(labels[video], pred) for video, pred in tuned.left_out.items()}
    row = measured_row(smoothed['target'], CROSS_VALIDATED, parts, groups)
    chosen = Counter(map(str, tuned.folds)).most_common()
    texts = [text if len(chosen) == 1 else f'{text} ({count})' for text, count in chosen]
    row['notes'].append(f'each video by what the other folds of {len(tuned.folds)} chose: {"; ".join(texts)}')
    return [*before, smoothed, row]


def measured_row(
    target: str,
    stage: str,
    parts: Mapping[str, Moments],
    groups: Groups | None = None,
) -> dict[str, Any]:
    """One row, as ``report_rows`` describes it, of the statistics of each video."""
    parts = {video: part for video, part in parts.items() if part.n}
    groups = groups or Groups()
    units = [Moments.pool(parts[video] for video in unit) for unit in groups.units(parts)]
    pooled = Moments.pool(units)
    low, high, obstacle = bootstrap_ccc(units, unit=groups.unit(parts))
    notes = [f'no interval: {obstacle}'] if obstacle else []
    if pooled.constant:
        notes.append('labels or predictions are constant: CCC and PCC are 0 by definition')
    return {
        'target': target,
        'stage': stage,
        **{'ccc': pooled.ccc, 'ccc_low': low, 'ccc_high': high, 'pcc': pooled.pcc, 'rmse': pooled.rmse},
        **{'frames': pooled.n, 'videos': len(parts)},
        **{'unit': groups.text(parts), 'effective': effective_number(units), 'notes': notes},
    }


def render_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as aligned text; below them what intervals were drawn over, and notes."""
    lines = [
        (
            *(row['target'], row['stage']),
            *(f'{row["ccc"]:.4f}', interval_text(row['ccc_low'], row['ccc_high'])),
            *(f'{row["pcc"]:.4f}', f'{row["rmse"]:.4f}', f'{row["frames"]:,}', str(row['videos'])),
        )
        for row in rows
    ]
    text = aligned([HEADER, *lines], left=(0, 1))
    units: dict[str, list[str]] = {}
    notes: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        unit = f'{row["unit"]}, which count as {row["effective"]:.1f} of equal length'
        units.setdefault(unit, []).append(row['target'])
        for note in row['notes']:
            notes.setdefault((row['target'], note), []).append(row['stage'])
    for unit, targets in units.items():
        whose = f' of {" and ".join(dict.fromkeys(targets))}' if len(units) > 1 else ''
        text.append(f'intervals{whose}: bootstrap over {unit}')
    text += [f'{target}, {", ".join(stages)}: {note}' for (target, note), stages in notes.items()]
    return '\n'.join(text)


def aligned(lines: Sequence[Sequence[str]], left: Collection[int] = ()) -> list[str]:
    r"""Lines with their columns one below the other, and a rule below the first.

    Args:
        lines: cells of each line, as many in all; the first line is the header.
        left: columns that are aligned to the left; the others, numbers, are to the right.

    >>> print(*aligned([['run', 'CCC'], ['a', '0.5000']], left=[0]), sep='\n')
    run     CCC
    ---  ------
    a    0.5000
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        '  '.join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    text.insert(1, '  '.join('-' * width for width in widths))
    return text


def number_text(value: float | None, form: str = '.4f', absent: str = '-') -> str:
    """A number of a table as text."""
    return absent if value is None else format(value, form)


def interval_text(low: float | None, high: float | None, form: str = '.4f', absent: str = 'none') -> str:
    """An interval of a table as text."""
    return absent if low is None or high is None else f'{low:{form}} .. {high:{form}}'
