from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abawfw.errors import DataError
from abawfw.evaluation.functional import Moments, calibration, ccc, moments, mse, pcc, pcc_p_value, rmse

CASES = (
    'correlated',
    'anti',
    'equal',
    'constant_pred',
    'constant_pred_at_mean',
    'constant_true',
    'constant_both_equal',
)
CASES += ('constant_both_different', 'two_points', 'one_point')


@pytest.mark.parametrize('case', CASES)
def test_golden(golden: Path, case: str) -> None:
    numbers = np.load(golden / 'metrics.npz')
    true, pred = numbers[f'{case}/true'], numbers[f'{case}/pred']
    expected = numbers[f'{case}/float64/mse_rmse_pcc_ccc']
    constant = 'constant' in case or case == 'one_point'
    found = [mse(true, pred), rmse(true, pred), pcc(true, pred), ccc(true, pred)]
    np.testing.assert_allclose(found[:2], expected[:2], rtol=1e-12, atol=1e-15)
    if constant:
        assert found[2:] == [0.0, 0.0]
    else:
        np.testing.assert_allclose(found[2:], expected[2:], rtol=1e-12)


def test_frames_without_label_are_left_out() -> None:
    true = np.array([0.1, np.nan, 0.5, -0.3])
    pred = np.array([0.2, np.nan, 0.4, 0.0])
    assert ccc(true, pred) == ccc(true[[0, 2, 3]], pred[[0, 2, 3]])


def test_bad_input() -> None:
    with pytest.raises(DataError, match=r'\(2,\).*\(3,\)'):
        ccc(np.zeros(2), np.zeros(3))
    with pytest.raises(DataError, match='no frame has a label'):
        pcc([np.nan], [0.0])
    with pytest.raises(DataError, match='predictions are not finite in 1 frame, first in frame 2'):
        rmse([np.nan, 0.0, 1.0], [0.0, 0.0, np.nan])
    with pytest.raises(DataError, match='labels are not finite'):
        mse([np.inf], [0.0])


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=8),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 1e4]),
)
def test_pooled_is_direct(lengths: list[int], seed: int, offset: float) -> None:
    rng = np.random.default_rng(seed)
    lengths = [*lengths, 5]
    true = [offset + rng.normal(rng.normal(), 1, n) for n in lengths]
    pred = [offset + rng.normal(rng.normal(), 1, n) for n in lengths]
    pooled = Moments.pool(moments(t, p) for t, p in zip(true, pred, strict=True))
    direct = moments(np.concatenate(true), np.concatenate(pred))
    for name in ('ccc', 'pcc', 'mse', 'rmse'):
        np.testing.assert_allclose(getattr(pooled, name), getattr(direct, name), rtol=1e-7, atol=1e-9)


def test_a_constant_video_counts_in_the_pool() -> None:
    first = moments(np.full(4, 0.3), np.array([0.1, 0.2, 0.3, 0.2]))
    second = moments(np.array([0.0, 0.5]), np.array([0.1, 0.3]))
    assert first.ccc == 0.0
    assert first.constant
    assert Moments.pool([first, second]).ccc == pytest.approx(
        ccc([0.3, 0.3, 0.3, 0.3, 0.0, 0.5], [0.1, 0.2, 0.3, 0.2, 0.1, 0.3]), rel=1e-12
    )


def test_perfect_agreement_is_1_and_no_more() -> None:
    """Rounding alone passes 1 in a quarter of the cases; a p-value would be NaN then."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        true = rng.normal(size=rng.integers(3, 40))
        linear = rng.uniform(0.1, 5) * true + rng.normal()
        for pred, sign in ((linear, 1), (-linear, -1)):
            found = Moments.pool([moments(true[:2], pred[:2]), moments(true[2:], pred[2:])])
            assert abs(found.pcc) <= 1
            assert found.pcc == pytest.approx(sign, rel=1e-12)
            assert pcc_p_value(found.pcc, found.n) == pytest.approx(0, abs=1e-6)
        assert calibration(moments(true, linear)).ccc <= 1
        assert ccc(true, true * (1 + 2e-16)) <= 1
    assert pcc_p_value(1 + 2e-16, 10) == pcc_p_value(-1 - 4e-16, 10) == 0
