"""Intervals and tests over videos: against plain resampling, and what they promise."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from evaluation import simulated_videos as made
from hypothesis import given
from hypothesis import strategies as st

from abawfw.errors import DataError
from abawfw.evaluation.functional import (
    Moments,
    bootstrap_ccc,
    ccc,
    interval_obstacle,
    moments,
    paired_bootstrap,
    paired_permutation,
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
    low, high = bootstrap_ccc(statistics(videos)) or (0, 0)
    plain = []
    for _ in range(500):
        chosen = [videos[i] for i in rng.integers(0, 100, 100)]
        plain.append(ccc(*(np.concatenate(side) for side in zip(*chosen, strict=True))))
    assert low < ccc(*(np.concatenate(side) for side in zip(*videos, strict=True))) < high
    assert (high - low) == pytest.approx(2 * 1.96 * np.std(plain), rel=0.15)


def frame_interval(videos: list[made.Video]) -> tuple[float, float]:
    """The interval of those who take frames for independent: the delta method on Fisher's z."""
    y, p = (np.concatenate(side) for side in zip(*videos, strict=True))
    value, dy, dp = ccc(y, p), y - y.mean(), p - p.mean()
    spread = y.var() + p.var() + (y.mean() - p.mean()) ** 2
    apart = y.mean() - p.mean()
    by_frame = (2 * dy * dp - value * (dy**2 + dp**2 + 2 * apart * (dy - dp))) / spread
    error = np.std(by_frame - by_frame.mean()) / np.sqrt(len(y)) / (1 - value**2)
    return np.tanh(np.arctanh(value) - 1.96 * error), np.tanh(np.arctanh(value) + 1.96 * error)


def share(text: str) -> float:
    """A share that docs/statistics.md gives: the first per cent after this text."""
    page = (Path(__file__).parents[2] / 'docs/statistics.md').read_text()
    return float(re.findall(r'([\d.]+) %', page.partition(text)[2])[0]) / 100


@pytest.mark.slow
def test_coverage_over_videos_and_over_frames() -> None:
    true = made.known_ccc()
    by_video = by_frame = 0
    for seed in range(500):
        videos = made.draw(np.random.default_rng([seed, 1]), 76)
        low, high = bootstrap_ccc(statistics(videos), 1000, seed) or (1, -1)
        by_video += low <= true <= high
        low, high = frame_interval(videos)
        by_frame += low <= true <= high
    assert 0.93 <= by_video / 500 <= 0.97
    assert by_frame / 500 < 0.5
    assert share('| over videos |') == pytest.approx(by_video / 500, abs=0.005)
    assert share('| over frames |') == pytest.approx(by_frame / 500, abs=0.005)


@pytest.mark.slow
def test_coverage_and_false_positives_of_very_uneven_videos() -> None:
    true, covered, found = made.known_ccc(), 0, {'bootstrap': 0, 'permutation': 0, 'both': 0}
    for seed in range(500):
        rng = np.random.default_rng([seed, 7])
        labels = [made.labels(rng, frames) for frames in (5000, *[100] * 75)]
        a, b = ([moments(label, made.predicted(rng, label)) for label in labels] for _ in range(2))
        low, high = bootstrap_ccc(a, 1000, seed) or (1, -1)
        covered += low <= true <= high
        bootstrap = paired_bootstrap((a, b), replicates=1000, seed=seed).p_value or 0
        permutation = paired_permutation((a, b), replicates=1000, seed=seed)
        found['bootstrap'] += bootstrap < 0.05
        found['permutation'] += permutation < 0.05
        found['both'] += max(bootstrap, permutation) < 0.05
    assert share('| one video has 40 % of the frames: interval over videos |') == pytest.approx(
        covered / 500, abs=0.005
    )
    # 5 % of 500, with three standard errors of a binomial above
    assert found['permutation'] <= 40
    assert found['both'] <= 40


def test_bootstrap_is_the_same_for_the_same_seed_and_leaves_out_unlabelled_videos() -> None:
    parts = statistics(made.draw(np.random.default_rng(1), 10))
    assert bootstrap_ccc(parts, seed=3) == bootstrap_ccc([*parts, Moments()], seed=3)
    assert bootstrap_ccc(parts, seed=3) != bootstrap_ccc(parts, seed=4)


def test_a_video_that_has_nearly_all_frames_leaves_no_interval() -> None:
    rng = np.random.default_rng(0)
    parts = [moments(y, made.predicted(rng, y)) for y in (made.labels(rng, n) for n in (7000, *[30] * 7))]
    assert bootstrap_ccc(parts) is None
    assert paired_bootstrap((parts, parts)).p_value is None
    assert '97% of the frames, so they count as 1.1' in (interval_obstacle(parts) or '')
    assert interval_obstacle([moments(y, y) for y in (made.labels(rng, 50) for _ in range(4))]) is None


def test_few_videos_have_no_interval() -> None:
    parts = statistics(made.draw(np.random.default_rng(1), 4))
    assert bootstrap_ccc(parts[:3]) is None
    low, high = bootstrap_ccc(parts) or (0, 0)
    assert -1 <= low < high <= 1
    few = paired_bootstrap((parts[:3], parts[:3]))
    assert few == (0.0, None, None, None)


@pytest.mark.parametrize(('pred', 'value'), [(0.3, 0.0), (None, 1.0)])
def test_interval_of_constant_and_of_perfect_predictions_is_a_point(pred: float | None, value: float) -> None:
    rng = np.random.default_rng(0)
    videos = [rng.uniform(-1, 1, 20) for _ in range(5)]
    found = bootstrap_ccc([moments(y, y if pred is None else np.full(20, pred)) for y in videos])
    assert found == pytest.approx((value, value), abs=1e-9)


def test_identical_runs_do_not_differ() -> None:
    parts = statistics(made.draw(np.random.default_rng(2), 12))
    assert paired_bootstrap((parts, parts), (parts, parts)) == (0.0, 0.0, 0.0, 1.0)
    assert paired_permutation((parts, parts)) == 1.0


@given(seed=st.integers(0, 10**6))
def test_exchanged_runs_give_the_opposite_difference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = [made.labels(rng, 60) for _ in range(6)]
    a, b = ([moments(y, made.predicted(rng, y)) for y in labels] for _ in range(2))
    one, other = (paired_bootstrap(pair, replicates=200) for pair in ((a, b), (b, a)))
    assert one.low is not None
    assert other.high is not None
    assert one.value == pytest.approx(-other.value, abs=1e-12)
    assert one.low == pytest.approx(-other.high, abs=1e-9)
    assert one.p_value == other.p_value
    assert (one.p_value < 0.05) == (one.low * (one.high or 0) > 0)  # type: ignore[operator]


def test_several_targets_compare_the_mean() -> None:
    rng = np.random.default_rng(5)
    targets = []
    for noise in (0.2, 0.6):
        labels = [made.labels(rng, 80) for _ in range(40)]
        targets.append(
            tuple([moments(y, made.predicted(rng, y, n)) for y in labels] for n in (noise, noise / 2))
        )
    expected = [Moments.pool(b).ccc - Moments.pool(a).ccc for a, b in targets]
    found = paired_bootstrap(*targets)  # type: ignore[arg-type]
    assert found.value == pytest.approx(np.mean(expected))
    # plain draws of the same videos for both targets scatter as widely as the interval says
    plain = []
    for _ in range(400):
        drawn = rng.integers(0, 40, 40)
        pooled = [[Moments.pool([side[i] for i in drawn]).ccc for side in target] for target in targets]
        plain.append(np.mean([b - a for a, b in pooled]))
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) == pytest.approx(2 * 1.96 * np.std(plain), rel=0.2)


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
    assert paired_permutation((a, b), replicates=20_000) == pytest.approx(exact, abs=0.01)


def test_runs_on_other_frames_are_refused() -> None:
    parts = statistics(made.draw(np.random.default_rng(3), 5))
    other = statistics(made.draw(np.random.default_rng(4), 5))
    for pair in ((parts, other), (parts, parts[:4])):
        with pytest.raises(DataError, match='same videos'):
            paired_bootstrap(pair)
    with pytest.raises(DataError, match='nothing to compare'):
        paired_bootstrap(([Moments()], [Moments()]))
