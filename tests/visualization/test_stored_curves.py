"""Curves inside a page: nothing lost where all fit, no peak lost where they do not."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from abawfw.visualization.stored_curves import StoredCurves, VideoCurves, bands_without, decimate

values = st.one_of(st.floats(-1.5, 1.5), st.just(np.nan))
curves = arrays(np.float64, st.integers(0, 300), elements=values)
buckets = st.integers(1, 60)


def decoded(stored: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Positions and values, as the page's script reads them."""
    numbers = np.frombuffer(base64.b64decode(stored['values']), '<i2')
    positions = np.arange(len(numbers))
    if 'steps' in stored:
        positions = np.cumsum(np.frombuffer(base64.b64decode(stored['steps']), '<u2').astype(np.int64))
    return positions, np.where(numbers == -32768, np.nan, numbers * stored['scale'])


@given(curves, buckets)
def test_extremes_and_ends_survive(curve: np.ndarray, bucket: int) -> None:
    kept = decimate(curve, bucket)
    assert (np.diff(kept) > 0).all()
    parts = [np.arange(i, min(i + bucket, len(curve))) for i in range(0, len(curve), bucket)]
    for part in parts:
        inside = np.intersect1d(kept, part)
        assert len(inside) > 0
        if np.isfinite(curve[part]).any():
            assert np.nanmax(curve[inside]) == np.nanmax(curve[part])
            assert np.nanmin(curve[inside]) == np.nanmin(curve[part])
    if len(curve):
        assert (kept[0], kept[-1]) == (0, len(curve) - 1)
    assert len(kept) <= 2 * len(parts) + 2


@given(arrays(np.float64, st.integers(0, 6), elements=values), buckets)
def test_few_frames_are_all_kept(curve: np.ndarray, bucket: int) -> None:
    if len(curve) <= 4:
        assert decimate(curve, bucket).tolist() == list(range(len(curve)))
    assert decimate(curve, 1).tolist() == decimate(curve, 2).tolist() == list(range(len(curve)))


@given(curves, st.sampled_from([None, 200]))
def test_values_are_within_half_a_step(curve: np.ndarray, budget: int | None) -> None:
    stored = StoredCurves({'v': VideoCurves({'c': curve})}, **({} if budget is None else {'budget': budget}))
    positions, found = decoded(stored.entry('v')['curves']['c'])
    if budget is None:
        assert positions.tolist() == list(range(len(curve)))
    step = np.abs(curve[np.isfinite(curve)]).max(initial=0) / 32767
    np.testing.assert_allclose(found, curve[positions], rtol=0, atol=step * 0.51)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=5), st.integers(2000, 20_000))
def test_the_budget_is_kept_and_told(lengths: list[int], budget: int) -> None:
    rng = np.random.default_rng(0)
    videos = {
        str(i): VideoCurves({'a': rng.normal(size=n), 'b': rng.normal(size=n)}) for i, n in enumerate(lengths)
    }
    stored = StoredCurves(videos, budget)
    texts = [curve for v in videos for curve in stored.entry(v)['curves'].values()]
    size = sum(len(text) for curve in texts for name, text in curve.items() if name != 'scale')
    assert size <= budget + 8 * len(texts)  # base64 fills up with at most 2 letters a text
    everything = sum(lengths) * 2 * 2 * 4 / 3
    assert (stored.bucket == 1) == (everything <= budget)
    assert f'{sum(lengths):,} frames' in stored.note
    assert ('All' in stored.note) == (stored.bucket == 1)
    assert stored.bucket == 1 or f'every {stored.bucket} frames' in stored.note


def test_long_videos_have_positions_that_fit() -> None:
    n = 400_000
    curve = np.zeros(n)
    curve[[5, 123_456, n - 2]] = 0.5, -0.7, 0.9
    positions, found = decoded(StoredCurves({'v': VideoCurves({'c': curve})}, 10).entry('v')['curves']['c'])
    kept = dict(zip(positions.tolist(), found.tolist(), strict=True))
    assert kept[5] == pytest.approx(0.5, abs=1e-4)
    assert kept[123_456] == pytest.approx(-0.7, abs=1e-4)
    assert kept[n - 2] == pytest.approx(0.9)


@given(arrays(np.bool_, st.integers(0, 60)), st.integers(1, 8))
def test_bands(faces: np.ndarray, most: int) -> None:
    every = bands_without(faces, 60)
    drawn = np.ones(len(faces), dtype=bool)
    for start, stop in every:
        drawn[start:stop] = False
    assert (drawn == faces).all()
    few = bands_without(faces, most)
    assert len(few) == min(most, len(every))
    joined = np.ones(len(faces), dtype=bool)
    for start, stop in few:
        joined[start:stop] = False
    assert not joined[~faces].any()


def test_the_closest_bands_are_joined() -> None:
    faces = np.ones(30, dtype=bool)
    faces[[2, 4, 20]] = False
    assert bands_without(faces, 2) == [[2, 5], [20, 21]]


def stored_times(stored: dict[str, Any], frames: int) -> np.ndarray:
    """Seconds of all frames, as the page's script reads them."""
    times = stored['times']
    if 'step' in times:
        return times['start'] + np.arange(frames) * times['step']
    known = np.frombuffer(base64.b64decode(times['known']), '<f4')
    at = np.append(np.arange(0, frames - 1, times['every']), frames - 1)
    return np.interp(np.arange(frames), at, known)


def test_times_of_frames() -> None:
    curve = {'c': np.zeros(100)}
    even, uneven = 3 + np.arange(100) / 29.97, np.cumsum(np.random.default_rng(0).uniform(0.01, 0.07, 100))
    for times in (even, uneven):
        found = stored_times(StoredCurves({'v': VideoCurves(curve, times=times)}).entry('v'), 100)
        np.testing.assert_allclose(found, times, atol=1e-5)
    assert StoredCurves({'v': VideoCurves(curve)}).entry('v')['times'] is None
    one = StoredCurves({'v': VideoCurves({'c': np.zeros(1)}, times=np.array([2.0]))}).entry('v')
    assert stored_times(one, 1).tolist() == [2.0]


def test_times_that_are_not_even_count_in_the_budget() -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.07, 50_000))
    curve = {'c': np.random.default_rng(1).normal(size=50_000)}
    stored = StoredCurves({'v': VideoCurves(curve, times=times)}, budget=140_000)
    entry = stored.entry('v')
    assert (
        sum(len(text) for text in (entry['times']['known'], *map(str, entry['curves']['c'].values())))
        < 141_000
    )
    assert StoredCurves({'v': VideoCurves(curve)}, budget=140_000).bucket < stored.bucket
    kept = stored_times(entry, 50_000)[:: stored.bucket]
    np.testing.assert_allclose(kept, times[:: stored.bucket], atol=1e-3)
