from __future__ import annotations

from math import comb, lgamma, log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import smooth, smooth_and_clip

LENGTHS = (1, 7, 40, 41, 101, 190, 191, 333)
SEQUENCES = arrays(np.float64, st.integers(1, 60), elements=st.floats(-100, 100))


def test_mean_golden(golden: Path) -> None:
    numbers = np.load(golden / 'smoothing.npz')
    for w in (0, 5, 20, 50, 95):
        for n in LENGTHS:
            x = numbers[f'seq/{n}']
            np.testing.assert_allclose(smooth(x, w), numbers[f'mean/float64/w{w}/{n}'], rtol=0, atol=1e-9)
            single = smooth(x.astype(np.float32), w)
            np.testing.assert_allclose(single, numbers[f'mean/float32/w{w}/{n}'], rtol=0, atol=1e-5)


def test_binomial_golden(golden: Path) -> None:
    numbers = np.load(golden / 'smoothing.npz')
    checked = 0
    for w in (0, 5, 20, 50, 95):
        for n in LENGTHS:
            if n < 2 * w + 1:  # the reference raises, or broadcasts one frame against half the kernel
                continue
            x = numbers[f'seq/{n}']
            found = smooth(x, w, 'binomial')
            np.testing.assert_allclose(found, numbers[f'binomial/float64/w{w}/{n}'], rtol=0, atol=1e-9)
            single = smooth(x.astype(np.float32), w, 'binomial')
            np.testing.assert_allclose(single, numbers[f'binomial/float32/w{w}/{n}'], rtol=0, atol=1e-5)
            checked += 1
    assert checked == 25


@given(SEQUENCES, st.integers(0, 70))
def test_mean_is_the_plain_definition(x: np.ndarray, w: int) -> None:
    plain = [x[max(0, t - w) : t + w + 1].mean() for t in range(len(x))]
    np.testing.assert_allclose(smooth(x, w), plain, rtol=0, atol=1e-11)


@given(SEQUENCES, st.integers(0, 40))
def test_binomial_is_the_plain_definition(x: np.ndarray, w: int) -> None:
    n = len(x)
    plain = np.zeros(n)
    for t in range(n):
        frames = np.arange(max(0, t - w), min(n, t + w + 1))
        weights = np.array([comb(2 * w, int(f) - t + w) / 4**w for f in frames])
        plain[t] = weights @ x[frames] / (weights.sum() if n < 2 * w + 1 else 1.0)
    np.testing.assert_allclose(smooth(x, w, 'binomial'), plain, rtol=0, atol=1e-10)


@given(
    arrays(np.float64, (23, 2), elements=st.floats(-2, 2)),
    st.integers(0, 30),
    st.sampled_from(['mean', 'binomial']),
)
def test_columns_are_independent(x: np.ndarray, w: int, kernel: str) -> None:
    columns = np.stack([smooth(x[:, 0], w, kernel), smooth(x[:, 1], w, kernel)], axis=1)
    np.testing.assert_allclose(smooth(x, w, kernel), columns, rtol=0, atol=1e-12)


def test_long_sequences_keep_their_digits() -> None:
    x = np.random.default_rng(0).normal(1000.0, 1.0, 1_000_000)
    t = 999_000
    assert abs(smooth(x, 50)[t] - x[t - 50 : t + 51].mean()) < 1e-9


def test_binomial_across_blocks() -> None:
    x = np.random.default_rng(0).normal(1.0, 1.0, 20_001)
    weights = np.array([comb(100, k) / 4**50 for k in range(101)])
    np.testing.assert_allclose(smooth(x, 50, 'binomial'), np.convolve(x, weights, 'same'), rtol=0, atol=1e-12)


def test_constant_stays_exactly_constant_in_the_middle() -> None:
    np.testing.assert_allclose(smooth(np.full(500, 0.1), 20), 0.1, rtol=1e-15)


def test_smoothed_before_clipped() -> None:
    x = np.array([3.0, -1.0, -1.0])
    np.testing.assert_allclose(smooth_and_clip(x, 1), [1.0, 1 / 3, -1.0], atol=1e-15)


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match='no smoothing kernel'):
        smooth([1.0], 1, 'gauss')
    for window in (-1, 1.5):
        with pytest.raises(ConfigError, match='whole number'):
            smooth([1.0], window)  # type: ignore[arg-type]
    with pytest.raises(DataError, match='first in frame 2'):
        smooth([0.0, 0.0, np.nan], 1)
    with pytest.raises(DataError, match=r'\(1, 1, 1\)'):
        smooth(np.zeros((1, 1, 1)), 1)


@pytest.mark.parametrize(('window', 'kept'), [(100, 100), (3_000, 557), (100_000, 3_170)])
def test_binomial_of_large_windows(window: int, kept: int) -> None:
    """The weights, as an impulse shows them, are those that logarithms of factorials give."""
    x = np.zeros(2 * window + 1)
    x[window] = 1.0
    k = np.arange(-kept, kept + 1)
    logs = [lgamma(2 * window + 1) - lgamma(window + i + 1) - lgamma(window - i + 1) for i in k]
    expected = np.exp(np.array(logs) - 2 * window * log(2))
    found = smooth(x, window, 'binomial')
    np.testing.assert_allclose(found[window + k], expected, rtol=1e-8, atol=1e-16)
    assert found.sum() == pytest.approx(1.0)


def test_binomial_far_beyond_a_video_is_its_mean() -> None:
    x = np.random.default_rng(0).normal(size=40)
    np.testing.assert_allclose(smooth(x, 10**9, 'binomial'), np.full(40, x.mean()), rtol=0, atol=1e-6)
