"""Intervals and tests over videos and groups of them: against plain resampling, and what they promise."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from evaluation import simulated_videos as made
from hypothesis import given
from hypothesis import strategies as st

from abawfw.errors import DataError
from abawfw.evaluation.functional import (
    Interval,
    Moments,
    bootstrap_ccc,
    ccc,
    effective_number,
    interval_obstacle,
    moments,
    paired_bootstrap,
    paired_permutation,
    resampling,
)
from abawfw.evaluation.functional.video_sums import VideoSums


def statistics(videos: list[made.Video]) -> list[Moments]:
    return [moments(label, pred) for label, pred in videos]


@given(seed=st.integers(0, 10**6), count=st.integers(2, 6), level=st.sampled_from([0.0, 1e3]))
def test_ccc_of_a_draw_is_that_of_its_frames(seed: int, count: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    videos = [(rng.normal(level, 1, n), rng.normal(level, 1, n)) for n in rng.integers(3, 30, count)]
    weights = rng.multinomial(count, np.full(count, 1 / count), size=3)
    score = VideoSums(statistics(videos)).score(weights.astype(float))
    for value, times in zip(score.value, weights, strict=True):
        drawn = [video for video, k in zip(videos, times, strict=True) for _ in range(k)]
        true, pred = (np.concatenate(side) for side in zip(*drawn, strict=True))
        assert value == pytest.approx(ccc(true, pred), abs=1e-9)


@given(seed=st.integers(0, 10**6))
def test_influence_is_the_derivative_by_the_weight_of_a_video(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sums = VideoSums(statistics(made.draw(rng, 5)))
    weights, step = rng.uniform(0.5, 2, 5), 1e-6
    moved = weights + step * np.concatenate([np.eye(5), -np.eye(5)])
    values = sums.score(moved).value
    expected = (values[:5] - values[5:]) / (2 * step)
    np.testing.assert_allclose(sums.score(weights[None]).influence[0], expected, rtol=1e-4, atol=1e-8)


def test_interval_is_as_wide_as_plain_draws_of_whole_videos_scatter() -> None:
    rng = np.random.default_rng(0)
    videos = made.draw(rng, 100)
    low, high, _ = bootstrap_ccc(statistics(videos))
    assert low is not None
    assert high is not None
    plain = []
    for _ in range(500):
        chosen = [videos[i] for i in rng.integers(0, 100, 100)]
        plain.append(ccc(*(np.concatenate(side) for side in zip(*chosen, strict=True))))
    assert low < ccc(*(np.concatenate(side) for side in zip(*videos, strict=True))) < high
    assert (high - low) == pytest.approx(2 * 1.96 * np.std(plain), rel=0.15)


def test_videos_drawn_together_are_those_drawn_one_by_one() -> None:
    def generator() -> np.random.Generator:
        return np.random.default_rng(4)

    def agree(found: made.Drawn, expected: list[made.Video]) -> None:
        for one, other in zip(found.videos(), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
        parts = zip(found.moments(), statistics(expected), strict=True)
        assert all(astuple(one) == pytest.approx(astuple(other), abs=1e-9) for one, other in parts)

    rng = generator()
    labels = [made.labels(rng, frames) for frames in made.lengths(rng, 7)]
    agree(made.draw_together(generator(), 7), [(label, made.predicted(rng, label)) for label in labels])
    rng, turns = generator(), []
    for frames in (30, 5, 200):
        label = made.labels(rng, frames)
        turns.append((label, made.predicted(rng, label)))
    agree(made.draw_in_turn(generator(), [30, 5, 200]), turns)
    rng, persons = generator(), []
    for _ in range(2):
        mood, bias = made.BETWEEN * rng.standard_normal(), made.OWN_BIAS * rng.standard_normal()
        for _ in range(3):
            label = mood + made.WITHIN * made.slow(rng, 300)
            own = bias + made.OWN_NOISE * made.slow(rng, 300)
            persons.append((label, made.SLOPE * label + made.BIAS + own))
    agree(made.draw_persons(generator(), 2, 3), persons)


def frame_interval(videos: made.Drawn) -> tuple[float, float]:
    """The interval of those who take frames for independent: the delta method on Fisher's z."""
    y, p = videos.label, videos.pred
    value, dy, dp = ccc(y, p), y - y.mean(), p - p.mean()
    spread = y.var() + p.var() + (y.mean() - p.mean()) ** 2
    apart = y.mean() - p.mean()
    by_frame = (2 * dy * dp - value * (dy**2 + dp**2 + 2 * apart * (dy - dp))) / spread
    error = np.std(by_frame - by_frame.mean()) / np.sqrt(len(y)) / (1 - value**2)
    return np.tanh(np.arctanh(value) - 1.96 * error), np.tanh(np.arctanh(value) + 1.96 * error)


def covers(interval: Interval, true: float) -> bool:
    return interval.low is not None and interval.high is not None and interval.low <= true <= interval.high


@pytest.mark.slow
def test_coverage_over_videos_and_over_frames() -> None:
    true = made.known_ccc()
    by_video = by_frame = 0
    for seed in range(500):
        videos = made.draw_together(np.random.default_rng([seed, 1]), 76)
        by_video += covers(bootstrap_ccc(videos.moments(), 1000, seed), true)
        low, high = frame_interval(videos)
        by_frame += low <= true <= high
    assert 0.93 <= by_video / 500 <= 0.97
    assert by_frame / 500 < 0.5
    assert made.shares('over videos') == pytest.approx([by_video / 500], abs=0.005)
    assert made.shares('over frames') == pytest.approx([by_frame / 500], abs=0.005)


@pytest.mark.slow
def test_coverage_and_false_positives_of_very_uneven_videos() -> None:
    true, there, covered = made.known_ccc(), 0, 0
    found = {'bootstrap': 0, 'permutation': 0, 'both': 0}
    for seed in range(500):
        rng = np.random.default_rng([seed, 7])
        lengths = np.array([5000, *[100] * 75])
        labels = made.labels_together(rng, lengths)
        a, b = (made.predicted_together(rng, labels, lengths).moments() for _ in range(2))
        interval = bootstrap_ccc(a, 1000, seed)
        there += interval.low is not None
        covered += covers(interval, true)
        p_value = paired_bootstrap(a, b, replicates=1000, seed=seed).p_value
        bootstrap = 1.0 if p_value is None else p_value
        permutation = paired_permutation(a, b, replicates=1000, seed=seed)
        found['bootstrap'] += bootstrap < 0.05
        found['permutation'] += permutation < 0.05
        found['both'] += max(bootstrap, permutation) < 0.05
    row = made.shares('76 videos, one has 40 % of the frames: over videos')
    assert row == pytest.approx([covered / there, there / 500], abs=0.005)
    # 5 % of 500, with three standard errors of a binomial above
    assert found['permutation'] <= 40
    assert found['both'] <= 40


def test_bootstrap_is_the_same_for_the_same_seed_and_leaves_out_unlabelled_videos() -> None:
    parts = statistics(made.draw(np.random.default_rng(1), 10))
    assert bootstrap_ccc(parts, seed=3) == bootstrap_ccc([*parts, Moments()], seed=3)
    assert bootstrap_ccc(parts, seed=3) != bootstrap_ccc(parts, seed=4)


def test_draws_in_many_blocks_are_those_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, others = (statistics(made.draw(np.random.default_rng(k), 10)) for k in (1, 2))
    whole = [bootstrap_ccc(of, 500) for of in (parts, others, parts)]
    assert whole[0] == whole[2] != whole[1]
    monkeypatch.setattr(resampling, 'BLOCK', 300)
    assert [bootstrap_ccc(of, 500) for of in (parts, others, parts)] == whole


def test_a_video_that_has_nearly_all_frames_leaves_no_interval() -> None:
    rng = np.random.default_rng(0)
    parts = [moments(y, made.predicted(rng, y)) for y in (made.labels(rng, n) for n in (7000, *[30] * 7))]
    found = bootstrap_ccc(parts)
    assert found[:2] == (None, None)
    assert paired_bootstrap(parts, parts).p_value is None
    assert found.obstacle == (
        '8 labelled videos, of which one has 97% of the frames, count as 1.1 of equal length: '
        'an interval needs 5 or more'
    )
    assert paired_bootstrap(parts, parts, unit='group').obstacle == found.obstacle.replace('video', 'group')
    assert interval_obstacle([moments(y, y) for y in (made.labels(rng, 50) for _ in range(5))]) is None


@given(frames=st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_effective_number_is_that_of_kish(frames: list[int]) -> None:
    total, squares = sum(frames), sum(n * n for n in frames)
    assert effective_number([Moments(n) for n in frames]) == pytest.approx(total**2 / squares if total else 0)


def test_eight_videos_of_which_one_has_45_percent_have_no_interval() -> None:
    """Some of these would reach from -.98 to 1, and all of them hold too little: 92 %."""
    lengths = [1080, *[188] * 7]
    assert effective_number([Moments(n) for n in lengths]) == pytest.approx(4.1, abs=0.05)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        parts = [moments(y, made.predicted(rng, y)) for y in (made.labels(rng, n) for n in lengths)]
        assert 'count as 4.1 of equal length' in (bootstrap_ccc(parts).obstacle or '')


def test_an_uncertain_standard_error_leaves_no_interval() -> None:
    """Whether it is uncertain is seen in draws of plain resampling, each with the jackknife of its videos."""
    reasons = []
    for seed in range(12):
        rng = np.random.default_rng([seed, 5])
        parts = made.draw_in_turn(rng, [300] * 6).moments()
        value = np.arctanh(Moments.pool(parts).ccc)
        ratios = []
        for _ in range(400):
            drawn = [parts[i] for i in rng.integers(0, 6, 6)]
            own = np.arctanh(Moments.pool(drawn).ccc)
            left = [np.arctanh(Moments.pool(drawn[:i] + drawn[i + 1 :]).ccc) for i in range(6)]
            error = np.sqrt(5 / 6 * np.sum((left - np.mean(left)) ** 2))
            ratios.append(abs(own - value) / error if error > 1e-12 else np.inf)
        found = bootstrap_ccc(parts, 2000, seed)
        reasons.append((np.quantile(ratios, 0.95), found.obstacle))
        assert (found.low is None) == (found.obstacle is not None)
    # the jackknife that leaves one out is not the infinitesimal one, so only clear cases are compared
    clear = [(ratio > 5, obstacle is not None) for ratio, obstacle in reasons if not 3 < ratio < 8]
    assert {True, False} == {stated for _, stated in clear}
    assert all(expected == stated for expected, stated in clear)
    assert all('standard error itself is uncertain' in text for _, text in reasons if text)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('text', 'lengths'),
    [
        ('5 videos of equal length: over videos', [300] * 5),
        ('6 videos of equal length: over videos', [300] * 6),
        ('8 videos, one has 30 % of the frames: over videos', [720, *[240] * 7]),
        ('12 videos of equal length: over videos', [300] * 12),
    ],
)
def test_coverage_of_few_videos(text: str, lengths: list[int]) -> None:
    """Where there is an interval it holds; docs/statistics.md has both shares."""
    there = covered = 0
    for seed in range(500):
        videos = made.draw_in_turn(np.random.default_rng([seed, 11]), lengths)
        interval = bootstrap_ccc(videos.moments(), 1000, seed)
        there += interval.low is not None
        covered += covers(interval, made.known_ccc())
    assert 0.92 <= covered / there <= 0.98
    assert made.shares(text) == pytest.approx([covered / there, there / 500], abs=0.005)


@pytest.mark.slow
def test_coverage_of_videos_of_few_persons() -> None:
    """Videos of one person err alike: intervals over videos hold too little, those over persons do."""
    true = made.known_ccc()
    by = {'group': 0, 'video': 0}
    for seed in range(500):
        rng = np.random.default_rng([seed, 17])
        videos = made.draw_persons(rng, persons=16, videos=5).moments()
        units = {'group': [Moments.pool(videos[k : k + 5]) for k in range(0, 80, 5)], 'video': videos}
        for unit, parts in units.items():
            by[unit] += covers(bootstrap_ccc(parts, 1000, seed), true)
    assert 0.93 <= by['group'] / 500 <= 0.98
    assert by['video'] / 500 < 0.85
    assert made.shares('16 persons with 5 videos each: over persons') == pytest.approx(
        [by['group'] / 500], abs=0.005
    )
    assert made.shares('16 persons with 5 videos each: over videos') == pytest.approx(
        [by['video'] / 500], abs=0.005
    )


def test_few_videos_have_no_interval() -> None:
    parts = statistics(made.draw(np.random.default_rng(1), 4))
    assert bootstrap_ccc(parts) == (None, None, '4 labelled videos: an interval needs 5 or more')
    assert bootstrap_ccc(parts[:1], unit='group').obstacle == '1 labelled group: an interval needs 5 or more'
    assert paired_bootstrap(parts, parts)[:4] == (0.0, None, None, None)


@pytest.mark.parametrize(('pred', 'value'), [(0.3, 0.0), (None, 1.0)])
def test_interval_of_constant_and_of_perfect_predictions_is_a_point(pred: float | None, value: float) -> None:
    rng = np.random.default_rng(0)
    videos = [rng.uniform(-1, 1, 20) for _ in range(5)]
    found = bootstrap_ccc([moments(y, y if pred is None else np.full(20, pred)) for y in videos])
    assert found[:2] == pytest.approx((value, value), abs=1e-9)
    assert found.obstacle is None


def test_identical_runs_do_not_differ() -> None:
    parts = statistics(made.draw(np.random.default_rng(2), 12))
    assert paired_bootstrap(parts, parts) == (0.0, 0.0, 0.0, 1.0, None)
    assert paired_permutation(parts, parts) == 1.0


@given(seed=st.integers(0, 10**6), comparisons=st.integers(1, 30))
def test_exchanged_runs_give_the_opposite_difference_and_interval_and_p_agree(
    seed: int, comparisons: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = [made.labels(rng, 60) for _ in range(12)]
    a, b = ([moments(y, made.predicted(rng, y, noise)) for y in labels] for noise in (0.2, 0.3))
    level = 1 - 0.05 / comparisons
    one, other = (paired_bootstrap(*pair, level=level, replicates=400) for pair in ((a, b), (b, a)))
    assert one.value == pytest.approx(-other.value, abs=1e-12)
    assert one.p_value == other.p_value
    if one.low is None or one.high is None or other.high is None or one.p_value is None:
        assert one.obstacle == other.obstacle is not None
        return
    assert one.low == pytest.approx(-other.high, abs=1e-9)
    assert (comparisons * one.p_value < 0.05) == (one.low > 0 or one.high < 0)


def test_an_interval_of_a_difference_is_as_wide_as_plain_draws_scatter() -> None:
    rng = np.random.default_rng(5)
    labels = [made.labels(rng, 80) for _ in range(40)]
    a, b = ([moments(y, made.predicted(rng, y, n)) for y in labels] for n in (0.6, 0.3))
    found = paired_bootstrap(a, b)
    assert found.value == pytest.approx(Moments.pool(b).ccc - Moments.pool(a).ccc)
    plain = []
    for _ in range(400):
        drawn = rng.integers(0, 40, 40)
        first, second = (Moments.pool([side[i] for i in drawn]).ccc for side in (a, b))
        plain.append(second - first)
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) == pytest.approx(2 * 1.96 * np.std(plain), rel=0.2)
    wider = paired_bootstrap(a, b, level=1 - 0.05 / 4)
    assert (wider.high or 0) - found.value == pytest.approx(2.498 * np.std(plain), rel=0.2)  # of a normal


def test_permutation_of_few_videos_by_trying_all() -> None:
    rng = np.random.default_rng(8)
    labels = [made.labels(rng, 50) for _ in range(6)]
    sides = [[made.predicted(rng, y, noise) for y in labels] for noise in (0.1, 0.5)]

    def difference(swap: int) -> float:
        chosen = [[sides[(swap >> i & 1) ^ side][i] for i in range(6)] for side in (0, 1)]
        true = np.concatenate(labels)
        return ccc(true, np.concatenate(chosen[1])) - ccc(true, np.concatenate(chosen[0]))

    observed = abs(difference(0))
    exact = np.mean([abs(difference(swap)) >= observed - 1e-12 for swap in range(64)])
    a, b = ([moments(y, p) for y, p in zip(labels, side, strict=True)] for side in sides)
    assert paired_permutation(a, b) == pytest.approx(exact, abs=1e-12)
    assert paired_permutation(a, b, replicates=30) == pytest.approx(exact, abs=0.2)  # drawn, as too many


def test_nine_videos_that_all_agree_have_the_least_p_value_there_is() -> None:
    rng = np.random.default_rng(4)
    labels = [made.labels(rng, 80) for _ in range(9)]
    a, b = ([moments(y, made.predicted(rng, y, noise)) for y in labels] for noise in (0.1, 2.0))
    assert paired_permutation(a, b) == 2.0**-8


def test_runs_on_other_frames_are_refused() -> None:
    parts = statistics(made.draw(np.random.default_rng(3), 5))
    other = statistics(made.draw(np.random.default_rng(4), 5))
    for pair in ((parts, other), (parts, parts[:4])):
        with pytest.raises(DataError, match='same videos'):
            paired_bootstrap(*pair)
    with pytest.raises(DataError, match='nothing to compare'):
        paired_bootstrap([Moments()], [Moments()])
