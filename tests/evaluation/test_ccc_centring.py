from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abawfw.errors import DataError
from abawfw.evaluation.functional import ccc_centring


def test_golden(golden_tagf: Path) -> None:
    expected = np.load(golden_tagf / 'ccc_centering.npz')
    found = ccc_centring(expected['data'])
    np.testing.assert_allclose(found.agreement, expected['agreement'], rtol=0, atol=1e-12)
    assert found.level == pytest.approx(float(expected['weight']), abs=1e-12)
    np.testing.assert_allclose(found.centred, expected['centered'], rtol=0, atol=1e-12)


@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_every_rater_gets_the_level_and_keeps_its_course(raters: int, frames: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = rng.normal(rng.normal(size=(raters, 1)), 1, (raters, frames))
    found = ccc_centring(data)
    means = data.mean(axis=1)
    np.testing.assert_allclose(found.centred.mean(axis=1), found.level, atol=1e-9)
    np.testing.assert_allclose(found.centred - found.level, data - means[:, None], atol=1e-9)
    assert means.min() - 1e-9 <= found.level <= means.max() + 1e-9


def test_a_rater_alone_stays_as_it_is() -> None:
    data = np.array([[0.25, -0.5, 0.75]])
    np.testing.assert_allclose(ccc_centring(data).centred, data, atol=1e-15)


def test_where_nobody_agrees_all_count_alike() -> None:
    course = np.array([0.0, 1.0, 2.0, 1.0])
    for data in ([[0.5] * 3, [-0.5] * 3], [course, -course + 4]):
        found = ccc_centring(data)
        assert found.level == pytest.approx(np.mean(data))
        assert np.isfinite(found.centred).all()


def test_who_disagrees_does_not_count_for_the_level() -> None:
    course = np.sin(np.arange(50.0))
    assert ccc_centring([course, course, -course + 9]).level == pytest.approx(course.mean())


@pytest.mark.parametrize('data', [[1.0, 2.0], [[]], [[1.0, np.nan]], [[np.inf]]])
def test_what_is_no_set_of_ratings(data: list) -> None:
    with pytest.raises(DataError, match='raters, frames'):
        ccc_centring(data)
