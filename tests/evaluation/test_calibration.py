"""Calibration of predictions to labels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from abawfw.evaluation.functional import calibration, ccc, moments


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
