"""Intervals of frames: against plain counting, and what they promise on new videos, simulated and real."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
from evaluation import simulated_videos as made
from hypothesis import given, settings
from hypothesis import strategies as st

from abawfw.errors import DataError
from abawfw.evaluation.functional import FrameIntervals, frame_intervals

Video = tuple[np.ndarray, np.ndarray]  # predictions and labels


def plain_spread(pred: np.ndarray) -> np.ndarray:
    """By the definition, frame by frame."""
    stds = [pred[max(t - 50, 0) : t + 51].std() for t in range(len(pred))]
    return np.hypot(stds, 0.2)


def plain_reach(units: Sequence[Sequence[Video]], alpha: float) -> float:
    """The smallest score up to which there is enough of all units and of one that is infinitely far off."""
    scores: list[tuple[float, float]] = [(np.inf, 1.0)]
    for videos in units:
        for pred, label in videos:
            known = np.isfinite(label)
            far = np.abs(label - pred)[known] / plain_spread(pred)[known]
            scores += [(float(x), 1 / len(videos) / len(far)) for x in far]
    reached, needed = 0.0, (1 - alpha) * (len(units) + 1)
    for score, weight in sorted(scores):
        reached += weight
        if reached >= needed - 1e-7:
            return score
    raise AssertionError('weights sum to the number of units and one')


def plain_coverage(videos: Sequence[Video], reach: float) -> float:
    """Mean over videos of the fraction of the labelled frames that are covered."""
    covered = []
    for pred, label in videos:
        known, apart = np.isfinite(label), reach * plain_spread(pred)
        covered.append(np.mean((np.abs(label - pred) <= apart)[known]))
    return float(np.mean(covered))


@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), count=st.integers(4, 7))
def test_reach_and_cross_validation_are_those_of_plain_counting(seed: int, count: int) -> None:
    rng, alpha = np.random.default_rng(seed), 0.3

    def video() -> Video:
        frames = int(rng.integers(2, 12))
        # coarse values, so that some scores are equal
        pred, label = rng.integers(-4, 5, (2, frames)) / 4
        label[rng.random(frames) < 0.2] = np.nan
        label[0] = 0.5
        return pred, label

    units = [[video() for _ in range(rng.integers(1, 4))] for _ in range(count)]
    found = frame_intervals([*units, [(np.zeros(3), np.full(3, np.nan))]], alpha, 'group')
    assert found.reach == pytest.approx(plain_reach(units, alpha))
    assert (found.units, found.obstacle) == (count, None)
    left_out = [
        plain_coverage(units[k], plain_reach([*units[:k], *units[k + 1 :]], alpha) + 1e-9)
        for k in range(count)
    ]
    assert found.covered == pytest.approx(np.mean(left_out))
    assert found.lowest == pytest.approx(min(left_out))
    widths = []
    for videos in units:
        ends = [(*found.limits(pred), np.isfinite(label)) for pred, label in videos]
        widths.append(np.mean([(high - low)[known].mean() for low, high, known in ends]))
    assert found.width == pytest.approx(np.mean(widths))


def test_limits_follow_the_curve_and_stay_on_the_scale() -> None:
    found = FrameIntervals(0.1, 2.0, 50, 0.2, 20)
    still = np.full(300, 0.25)
    low, high = found.limits(still)
    np.testing.assert_allclose(high - still, 0.4)  # a constant curve has an interval
    np.testing.assert_allclose(low + high, 0.5)
    moving = np.where(np.arange(300) < 150, 0.25, -0.25)
    low, high = found.limits(moving)
    np.testing.assert_allclose((high - low)[[0, 299]], 0.8)  # far from the step
    assert high[149] - low[149] == pytest.approx(2 * 2 * np.hypot(np.std(moving[99:200]), 0.2))
    low, high = found.limits(np.full(5, 0.9))
    np.testing.assert_allclose(high, 1)
    np.testing.assert_allclose(low, 0.5)


@pytest.mark.parametrize(('alpha', 'needed'), [(0.1, 9), (0.2, 4), (0.05, 19), (0.3, 3)])
def test_too_few_units_have_none_and_say_why(alpha: float, needed: int) -> None:
    rng = np.random.default_rng(0)
    units = [[(np.zeros(20), rng.uniform(-1, 1, 20))] for _ in range(needed)]
    found = frame_intervals(units, alpha, 'group')
    assert found.reach is not None
    assert found.covered is None  # without one of them there are too few
    few = frame_intervals(units[1:], alpha, 'group')
    assert (few.reach, few.width, few.covered) == (None, None, None)
    percent = f'{100 * (1 - alpha):.4g}'
    assert few.obstacle == (
        f'{needed - 1} labelled groups: intervals for {percent} % of the frames (alpha {alpha}) need '
        f'{needed} or more'
    )
    with pytest.raises(DataError, match=f'there are no intervals: {needed - 1} labelled groups'):
        few.limits(np.zeros(3))


def test_perfect_predictions_have_no_width() -> None:
    curve = np.linspace(-0.5, 0.5, 40)
    found = frame_intervals([[(curve, curve)]] * 12)
    assert found.reach == 0
    assert (found.width, found.covered, found.lowest) == pytest.approx((0, 1, 1))


def covered_of_new(found: FrameIntervals, videos: Sequence[Video]) -> list[float]:
    """Fraction of the frames of each video that lie within its limits."""
    fractions = []
    for pred, label in videos:
        low, high = found.limits(pred)
        fractions.append(float(np.mean((low <= label) & (label <= high))))
    return fractions


@pytest.mark.slow
def test_new_videos_are_covered_as_promised() -> None:
    """90 % of their frames on average over videos; not of the frames of 90 % of the videos."""
    fractions, own = [], []
    for seed in range(500):
        rng = np.random.default_rng([seed, 11])
        lengths = np.array(made.lengths(rng, 76 + 2)) // 10 + 5
        drawn = made.predicted_together(rng, made.labels_together(rng, lengths), lengths)
        videos = [(np.clip(pred, -1, 1), np.clip(label, -1, 1)) for label, pred in drawn.videos()]
        found = frame_intervals([[video] for video in videos[:76]])
        fractions += covered_of_new(found, videos[76:])
        own.append(found.covered)
    assert 0.88 <= np.mean(fractions) <= 0.92
    assert np.mean(own) == pytest.approx(np.mean(fractions), abs=0.01)  # what cross-validation says of them
    fully = np.mean(np.array(fractions) >= 0.9)
    assert made.shares('76 videos: 90 %') == pytest.approx([np.mean(fractions), fully], abs=0.005)


@pytest.mark.slow
def test_new_persons_are_covered_where_groups_are_known() -> None:
    """Of a new person's videos, not of new videos of the same persons; with 16, 90 to 90 * 17 / 16 %."""
    fractions = []
    for seed in range(40):
        drawn = made.draw_persons(np.random.default_rng([seed, 12]), 17, 5).videos()
        videos = [(np.clip(pred, -1, 1)[::4], np.clip(label, -1, 1)[::4]) for label, pred in drawn]
        persons = [videos[k : k + 5] for k in range(0, 85, 5)]
        fractions += covered_of_new(frame_intervals(persons[:16], 0.1, 'group'), persons[16])
    assert 0.88 <= np.mean(fractions) <= 0.9 * 17 / 16 + 0.01
    assert made.shares('16 persons with 5 videos each: 90 %') == pytest.approx(
        [np.mean(fractions)], abs=0.005
    )


@pytest.fixture(scope='module')
def ceap(shared: Path) -> dict[str, dict[str, np.ndarray]]:
    """Valence of CEAP-360VR in every fifth frame by participant and stimulus, NaN where there is none."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for part in ('train', 'val'):
        with h5py.File(shared / f'data/ceap360vr/targets/{part}_valid_targets.h5') as file:
            for name, group in file.items():
                values = group['valence'][()].astype(np.float64)
                found.setdefault(f'{part} {name[:3]}', {})[name[4:]] = np.where(values == -5, np.nan, values)[
                    ::5
                ]
    return found


@pytest.mark.parametrize(('alpha', 'persons'), [(0.2, 6), (0.1, 16)])
def test_participants_left_out_are_covered_on_real_labels(
    ceap: dict[str, dict[str, np.ndarray]], alpha: float, persons: int
) -> None:
    """Predicted is the mean curve of each stimulus over participants who take no part otherwise."""
    names = sorted(ceap, key=lambda name: (name.startswith('val'), name))
    fitted, others = names[:-persons], names[-persons:]
    curves = {}
    for stimulus in ceap[others[0]]:
        length = max(len(ceap[name][stimulus]) for name in names)
        rows = [np.pad(x := ceap[name][stimulus], (0, length - len(x)), 'edge') for name in fitted]
        curves[stimulus] = np.nanmean(rows, axis=0)
    units = [[(curves[s][: len(x)], x) for s, x in ceap[name].items()] for name in others]
    covered = []
    for k, videos in enumerate(units):
        without = frame_intervals([*units[:k], *units[k + 1 :]], alpha, 'group')
        covered.append(np.mean(covered_of_new(without, videos)))
    # at least as promised, and not more than what the one unknown unit adds to it
    assert 1 - alpha <= np.mean(covered) <= (1 - alpha) * persons / (persons - 1) + 0.005
    found = frame_intervals(units, alpha, 'group')
    assert found.covered == pytest.approx(np.mean(covered), abs=1e-4)
    assert found.lowest == pytest.approx(min(covered), abs=1e-4)
    assert found.width is not None
    assert 1.2 < found.width < 1.8  # wide: one curve for all people knows little of one of them


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(10, 14), st.booleans())
def test_what_was_found_can_be_read(seed: int, count: int, wide: bool) -> None:
    """Sums of weights round: of a unit that is not covered at all, and of intervals from -1 to 1."""
    rng = np.random.default_rng(seed)
    units = [[(np.zeros(n), rng.uniform(-1, 1, n))] for n in rng.integers(3, 300, count)]
    units[0] = [(np.full(50, -1.0), np.full(50, 1.0))]
    if wide:
        units = [[(pred, np.where(pred > -2, 1.0, label))] for unit in units for pred, label in unit]
    found = frame_intervals(units, 0.1)
    if found.reach is not None:
        assert found.width is not None
        assert 0 <= found.width <= 2
    if found.covered is not None and found.lowest is not None:
        assert 0 <= found.lowest <= found.covered <= 1
