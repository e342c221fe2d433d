from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abawfw.errors import DataError
from abawfw.evaluation.functional import Autocorrelation

NAN = float('nan')
VIDEO = st.lists(st.one_of(st.just(NAN), st.integers(-1000, 1000).map(lambda v: v / 1000)), max_size=25)


def pooled(videos: list[np.ndarray]) -> Autocorrelation:
    found = Autocorrelation()
    for video in videos:
        found.add(video)
    return found


def plain(videos: list[list[float]], lag: int) -> float:
    """The definition, pair by pair; NaN where no pair lies in one stretch."""
    labelled = [x for video in videos for x in video if x == x]
    mean = sum(labelled) / len(labelled)
    variance = sum((x - mean) ** 2 for x in labelled) / len(labelled)
    products = [
        (video[t] - mean) * (video[t + lag] - mean)
        for video in videos
        for t in range(len(video) - lag)
        if all(x == x for x in video[t : t + lag + 1])  # no gap between the two
    ]
    return sum(products) / len(products) / variance if products else NAN


@given(st.lists(VIDEO, min_size=1, max_size=5))
def test_is_the_plain_definition(videos: list[list[float]]) -> None:
    values = pooled([np.array(video) for video in videos]).values()
    labelled = [x for video in videos for x in video if x == x]
    if len(set(labelled)) < 2:
        assert np.isnan(values).all()
        return
    expected = [plain(videos, lag) for lag in range(25)]
    assert len(values) == sum(x == x for x in expected)
    np.testing.assert_allclose(values, expected[: len(values)], rtol=0, atol=1e-9)


def test_lag_0_is_1_and_a_gap_is_not_crossed() -> None:
    values = pooled([np.array([0.1, 0.5, NAN, -0.4, 0.2, 0.3])]).values()
    assert values[0] == pytest.approx(1)
    assert len(values) == 3


def test_small_variation_about_a_large_mean_keeps_its_digits() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=500).cumsum()
    x -= x[0]
    near, far = pooled([x]).values(), pooled([0.9 + 1e-6 * x]).values()
    np.testing.assert_allclose(far, near, rtol=0, atol=1e-7)


@pytest.mark.parametrize('value', [0.0, 0.1, -0.641])
def test_constant_labels_have_none(value: float) -> None:
    found = pooled([np.full(7, value), np.full(3, value)])
    assert np.isnan(found.values()).all()
    assert np.isnan(found.effective_frames([7, 3])).all()


def test_nothing_labelled() -> None:
    found = pooled([np.array([]), np.array([NAN, NAN])])
    assert found.values().shape == (0,)
    assert np.isnan(found.effective_frames([0, 0])).all()


def test_one_frame_videos_are_independent_frames() -> None:
    found = pooled([np.array([0.1]), np.array([0.4]), np.array([-0.3])])
    np.testing.assert_allclose(found.values(), [1.0])
    np.testing.assert_allclose(found.effective_frames([1, 1, 1]), 1.0)


@pytest.mark.parametrize('phi', [0.0, 0.5, 0.9])
def test_effective_frames_of_a_known_process(phi: float) -> None:
    """Of an autoregressive process r(k) = phi^k, whatever the length."""
    rng = np.random.default_rng(1)
    x = np.zeros(200_000)
    steps = rng.normal(size=len(x))
    for t in range(1, len(x)):
        x[t] = phi * x[t - 1] + steps[t]
    found = pooled([x])
    for n in (1, 10, 1000):
        expected = n / (1 + 2 * sum((1 - k / n) * phi**k for k in range(1, n)))
        assert found.effective_frames([n])[0] == pytest.approx(expected, rel=0.03)


def test_effective_frames_are_what_the_spread_of_video_means_says() -> None:
    """Of videos of one length: the variance of all frames over that of the videos' means."""
    rng = np.random.default_rng(2)
    videos = rng.normal(size=(40, 1)) + 0.3 * rng.normal(size=(40, 12)).cumsum(axis=1)
    found = pooled(list(videos))
    assert (found.values() > 0).all()  # so that no lag is omitted
    expected = videos.var() / videos.mean(axis=1).var()
    np.testing.assert_allclose(found.effective_frames([12, 12]), expected)


def test_the_sum_ends_before_the_first_lag_that_is_not_positive() -> None:
    video = np.array([1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0])
    found = pooled([video])
    r = found.values()
    assert r[1] > 0 > r[2]
    assert r[4] > 0
    np.testing.assert_allclose(found.effective_frames([10]), 10 / (1 + 2 * 0.9 * r[1]))


@pytest.mark.parametrize('labels', [np.zeros((3, 2)), np.array([0.0, np.inf])])
def test_what_is_no_sequence_of_labels(labels: np.ndarray) -> None:
    with pytest.raises(DataError, match='they must be'):
        Autocorrelation().add(labels)
