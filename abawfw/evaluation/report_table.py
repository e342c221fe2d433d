"""The table that a test run prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from abawfw.evaluation.functional import Moments, bootstrap_ccc, moments, smooth_and_clip

HEADER = ('target', 'stage', 'CCC', '95 % interval', 'PCC', 'RMSE', 'window', 'frames', 'videos')


def report_rows(
    target: str,
    preds: Mapping[str, Any],
    labels: Mapping[str, Any],
    window: int,
    kernel: str = 'mean',
    replicates: int = 10_000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Measure raw, clipped and smoothed predictions of one target.

    Args:
        target: its name.
        preds: raw predictions of each video, (frames,).
        labels: of each video, NaN where there is none.
        window: one-sided smoothing window, frames.
        kernel: see ``smooth``.
        replicates: draws of the bootstrap over videos.
        seed: of the draws.

    Returns:
        Three rows, ready for JSON: target, stage, ccc, ccc_low and ccc_high (None without an interval), pcc,
        rmse, window (None where nothing is smoothed), frames and videos (those with a label), notes.

    Raises:
        DataError: lengths differ, no frame has a label, or a prediction is not finite.
    """
    rows = []
    for stage in ('raw', 'clipped', 'smoothed'):
        parts = []
        for video, pred in preds.items():
            if stage == 'smoothed':
                pred = smooth_and_clip(pred, window, kernel)
            elif stage == 'clipped':
                pred = np.clip(pred, -1.0, 1.0)
            parts.append(moments(labels[video], pred))
        parts = [part for part in parts if part.n]
        pooled = Moments.pool(parts)
        row: dict[str, Any] = {'target': target, 'stage': stage, 'ccc': pooled.ccc, 'pcc': pooled.pcc}
        interval = bootstrap_ccc(parts, replicates, seed)
        row['ccc_low'], row['ccc_high'] = interval or (None, None)
        row |= {'rmse': pooled.rmse, 'window': window if stage == 'smoothed' else None}
        row |= {'frames': pooled.n, 'videos': len(parts), 'notes': []}
        if interval is None:
            row['notes'].append('one labelled video: an interval over videos cannot be given')
        if pooled.constant:
            row['notes'].append('labels or predictions are constant: CCC and PCC are 0 by definition')
        rows.append(row)
    return rows


def render_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as aligned text, notes below."""
    lines = [HEADER]
    for row in rows:
        low, high = row['ccc_low'], row['ccc_high']
        lines.append(
            (
                row['target'],
                row['stage'],
                f'{row["ccc"]:.4f}',
                'none' if low is None else f'{low:.4f} .. {high:.4f}',
                f'{row["pcc"]:.4f}',
                f'{row["rmse"]:.4f}',
                '-' if row['window'] is None else str(row['window']),
                f'{row["frames"]:,}',
                str(row['videos']),
            )
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    text = []
    for line in lines:
        cells = [
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text.append('  '.join(cells).rstrip())
    text.insert(1, '  '.join('-' * width for width in widths))
    notes = dict.fromkeys(f'{row["target"]}, {row["stage"]}: {note}' for row in rows for note in row['notes'])
    return '\n'.join([*text, *notes])
