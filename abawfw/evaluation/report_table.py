"""The table that a test run prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from abawfw.evaluation.functional import Moments, bootstrap_ccc, interval_obstacle, moments
from abawfw.evaluation.postprocess import Pipeline, Tuned
from abawfw.evaluation.text_table import aligned

HEADER = ('target', 'stage', 'CCC', '95 % interval', 'PCC', 'RMSE', 'frames', 'videos')
CROSS_VALIDATED = 'cross-validated'  # the stage of what post-processing that was tuned is worth


def report_rows(
    target: str,
    preds: Mapping[str, Any],
    labels: Mapping[str, Any],
    postprocess: Pipeline | int,
    faces: Mapping[str, Any] | None = None,
    replicates: int = 10_000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Measure raw, clipped and smoothed predictions of one target.

    Args:
        target: its name.
        preds: raw predictions of each video, (frames,).
        labels: of each video, NaN where there is none.
        postprocess: what smooths and clips, or the one-sided window of a mean in frames.
        faces: where a face was found, (frames,) bool or None by video, for post-processing that needs it.
        replicates: draws of the bootstrap over videos.
        seed: of the draws.

    Returns:
        Three rows, ready for JSON: target, stage, ccc, ccc_low and ccc_high (None without an interval), pcc,
        rmse, frames and videos (those with a label), notes.

    Raises:
        DataError: lengths differ, no frame has a label, or a prediction is not finite.
    """
    stages = {
        'raw': preds,
        'clipped': {video: np.clip(pred, -1.0, 1.0) for video, pred in preds.items()},
        'smoothed': Pipeline.of(postprocess).videos(preds, faces),
    }
    return [
        measured_row(target, stage, [moments(labels[v], x) for v, x in of.items()], replicates, seed)
        for stage, of in stages.items()
    ]


def cross_validated_rows(
    rows: Sequence[Mapping[str, Any]],
    tuned: Tuned,
    labels: Mapping[str, Any],
    replicates: int = 10_000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """The rows of a target whose post-processing was tuned on these very videos, and its worth on others.

    Args:
        rows: as ``report_rows`` gives them, for ``tuned.pipeline``.
        tuned: what was chosen or fitted.
        labels: of each video, NaN where there is none.
        replicates: see ``report_rows``.
        seed: see ``report_rows``.

    Returns:
        The rows, the smoothed one with a note that it is no estimate, and one of the stage
        ``CROSS_VALIDATED``, if there are two labelled videos or more.
    """
    *before, smoothed = (dict(row) for row in rows)
    if not tuned.left_out:
        note = (
            'tuned on the one labelled video, so no estimate for others; cross-validation, which gives one, '
            'needs two'
        )
        return [*before, {**smoothed, 'notes': [*smoothed['notes'], note]}]
    note = f'tuned on these videos, so no estimate for others; the row {CROSS_VALIDATED} is one'
    smoothed['notes'] = [*smoothed['notes'], note]
    parts = [moments(labels[video], pred) for video, pred in tuned.left_out.items()]
    row = measured_row(smoothed['target'], CROSS_VALIDATED, parts, replicates, seed)
    chosen = Counter(map(str, tuned.folds)).most_common()
    texts = [text if len(chosen) == 1 else f'{text} ({count})' for text, count in chosen]
    row['notes'].append(f'each video by what the other folds of {len(tuned.folds)} chose: {"; ".join(texts)}')
    return [*before, smoothed, row]


def measured_row(
    target: str, stage: str, parts: Sequence[Moments], replicates: int = 10_000, seed: int = 0
) -> dict[str, Any]:
    """One row, as ``report_rows`` describes it, of the statistics of each video."""
    parts = [part for part in parts if part.n]
    pooled = Moments.pool(parts)
    low, high = bootstrap_ccc(parts, replicates, seed) or (None, None)
    obstacle = interval_obstacle(parts)
    notes = [obstacle] if obstacle else []
    if pooled.constant:
        notes.append('labels or predictions are constant: CCC and PCC are 0 by definition')
    return {
        'target': target,
        'stage': stage,
        **{'ccc': pooled.ccc, 'ccc_low': low, 'ccc_high': high, 'pcc': pooled.pcc, 'rmse': pooled.rmse},
        **{'frames': pooled.n, 'videos': len(parts), 'notes': notes},
    }


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
                f'{row["frames"]:,}',
                str(row['videos']),
            )
        )
    text = aligned(lines, left=(0, 1))
    notes = dict.fromkeys(f'{row["target"]}, {row["stage"]}: {note}' for row in rows for note in row['notes'])
    return '\n'.join([*text, *notes])
