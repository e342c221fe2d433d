from __future__ import annotations

import json

import numpy as np
import pytest

from abawfw.evaluation.functional import ccc, smooth_and_clip
from abawfw.evaluation.report_table import render_table, report_rows


def test_rows_and_table() -> None:
    rng = np.random.default_rng(0)
    labels = {f'v{i}': rng.uniform(-1, 1, 700) for i in range(6)}
    preds = {v: y + rng.normal(0, 0.8, 700) for v, y in labels.items()}
    labels['v0'][:100] = np.nan
    labels['v1'][:] = np.nan
    rows = report_rows('valence', preds, labels, 2)
    assert [r['stage'] for r in rows] == ['raw', 'clipped', 'smoothed']
    assert all(r['frames'] == 3400 and r['videos'] == 5 and not r['notes'] for r in rows)
    smoothed = np.concatenate([smooth_and_clip(p, 2) for p in preds.values()])
    assert rows[2]['ccc'] == pytest.approx(ccc(np.concatenate(list(labels.values())), smoothed))
    assert all(r['ccc_low'] < r['ccc'] < r['ccc_high'] for r in rows)
    assert json.loads(json.dumps(rows)) == rows
    text = render_table(rows)
    lines = text.splitlines()
    assert len(lines) == 5
    assert lines[4].split()[:3] == ['valence', 'smoothed', f'{rows[2]["ccc"]:.4f}']
    assert '3,400' in lines[4]
    assert len({len(line) for line in lines}) == 1


def test_notes() -> None:
    rows = report_rows('arousal', {'v': np.full(5, 0.1)}, {'v': np.arange(5) / 10}, 1)
    text = render_table(rows)
    assert rows[0]['ccc'] == 0.0
    assert rows[0]['ccc_low'] is None
    assert 'arousal, raw: 1 labelled video(s): an interval over videos needs 4 or more' in text
    assert 'arousal, raw: labels or predictions are constant' in text
