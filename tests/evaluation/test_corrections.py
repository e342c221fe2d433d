"""p-values corrected for their number, and calibration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from abawfw.evaluation.functional import calibration, ccc, holm, moments

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@given(p=P_VALUES)
def test_holm_by_its_definition(p: list[float]) -> None:
    order = sorted(range(len(p)), key=lambda i: p[i])
    expected, worst = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, (len(p) - rank) * p[i])
        expected[i] = min(1.0, worst)
    assert holm(p) == pytest.approx(expected)


def test_no_p_value_needs_no_correction() -> None:
    assert holm([]) == []


def test_calibration_is_the_best_affine_map() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0.2, 0.4, 300)
    pred = 0.3 * true - 0.1 + rng.normal(0, 0.1, 300)
    found = calibration(moments(true, pred))
    assert found.ccc == pytest.approx(ccc(true, found.slope * pred + found.intercept))
    best = minimize(lambda x: -ccc(true, x[0] * pred + x[1]), [1.0, 0.0], method='Nelder-Mead')
    assert found.ccc == pytest.approx(-best.fun, abs=1e-6)
    assert (found.slope, found.intercept) == pytest.approx(tuple(best.x), abs=1e-2)
    assert found.bias == pytest.approx(pred.mean() - true.mean())


def test_calibration_of_constant_predictions_moves_their_mean_only() -> None:
    found = calibration(moments([0.0, 1.0, 0.5], [0.2, 0.2, 0.2]))
    assert (found.slope, found.ccc) == (1.0, 0.0)
    assert found.intercept == pytest.approx(0.3)


def test_calibration_of_predictions_that_go_the_wrong_way_moves_their_mean_only() -> None:
    rng = np.random.default_rng(1)
    true = rng.normal(0.2, 0.4, 300)
    pred = 0.1 - 0.3 * true + rng.normal(0, 0.3, 300)
    found = calibration(moments(true, pred))
    assert found.slope == 1
    assert found.ccc == pytest.approx(ccc(true, pred + found.intercept))
    # a larger slope would make it worse
    assert found.ccc > ccc(true, true.std() / pred.std() * (pred - pred.mean()) + true.mean())
