from __future__ import annotations

import json

import numpy as np
import pytest

from abawfw.evaluation.functional import bootstrap_ccc, ccc, moments, smooth_and_clip
from abawfw.groups import Groups
from abawfw.results.report_table import render_table, report_rows


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
    assert len(lines) == 6
    assert lines[5] == (
        'intervals: bootstrap over 5 videos, no groups known, which count as 5.0 of equal length'
    )
    assert lines[4].split()[:3] == ['valence', 'smoothed', f'{rows[2]["ccc"]:.4f}']
    assert '3,400' in lines[4]
    assert len({len(line) for line in lines[:5]}) == 1


def test_groups_are_drawn_and_named() -> None:
    rng = np.random.default_rng(0)
    labels = {f'v{i}': rng.uniform(-1, 1, 200) for i in range(12)}
    preds = {v: y + rng.normal(0, 0.8, 200) for v, y in labels.items()}
    groups = Groups({video: f'p{i // 2}' for i, video in enumerate(labels)})
    (row, *_) = report_rows('valence', preds, labels, 2, groups=groups)
    units = [
        moments(*(np.concatenate([side[f'v{i}'], side[f'v{i + 1}']]) for side in (labels, preds)))
        for i in range(0, 12, 2)
    ]
    assert (row['ccc_low'], row['ccc_high']) == pytest.approx(bootstrap_ccc(units)[:2])
    assert (row['unit'], row['effective'], row['videos']) == ('6 groups (12 videos)', pytest.approx(6), 12)
    assert 'intervals: bootstrap over 6 groups (12 videos), which count as 6.0' in render_table([row])
    (row, *_) = report_rows('valence', preds, labels, 2, groups=Groups({'v0': 'p0', 'v1': 'p0'}))
    assert row['unit'] == ('11 groups (12 videos; the group of 10 is unknown, each counts as one of its own)')


def test_notes() -> None:
    rows = report_rows('arousal', {'v': np.full(5, 0.1)}, {'v': np.arange(5) / 10}, 1)
    text = render_table(rows)
    assert rows[0]['ccc'] == 0.0
    assert rows[0]['ccc_low'] is None
    assert 'arousal, raw, clipped, smoothed: no interval: 1 labelled video: an interval needs 5' in text
    assert 'arousal, raw, clipped, smoothed: labels or predictions are constant' in text
