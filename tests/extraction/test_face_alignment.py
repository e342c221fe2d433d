"""Alignment: exact for similar points, best for others, without aliasing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from abawfw.errors import DataError
from abawfw.extraction.faces.track import TEMPLATE, aligned, similarity


def turned(points: np.ndarray, scale: float, angle: float, shift: tuple[float, float]) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return scale * points @ np.array([[cos, sin], [-sin, cos]]) + shift


def moved(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


@given(st.floats(0.05, 20), st.floats(-np.pi, np.pi), st.floats(-500, 2000), st.floats(-500, 2000))
def test_similar_points_are_brought_to_the_template(scale: float, angle: float, x: float, y: float) -> None:
    points = turned(TEMPLATE, scale, angle, (x, y))
    np.testing.assert_allclose(moved(similarity(points, TEMPLATE), points), TEMPLATE, atol=1e-6)


@pytest.mark.parametrize('seed', range(5))
def test_no_other_similarity_is_closer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = turned(TEMPLATE, 2, 0.4, (200, 100)) + rng.normal(0, 8, (5, 2))

    def distance(values: np.ndarray) -> float:
        a, b, x, y = values
        return float(((points @ np.array([[a, b], [-b, a]]) + [x, y] - TEMPLATE) ** 2).sum())

    matrix = similarity(points, TEMPLATE)
    ours = float(((moved(matrix, points) - TEMPLATE) ** 2).sum())
    best = minimize(distance, [0.4, 0, 0, 0], method='BFGS')
    assert ours <= best.fun + 1e-6
    assert matrix[0, 0] == matrix[1, 1]
    assert matrix[0, 1] == -matrix[1, 0]


def test_a_mirrored_face_is_not_mirrored_back() -> None:
    matrix = similarity(TEMPLATE * [-1, 1], TEMPLATE)
    assert np.linalg.det(matrix[:, :2]) > 0


@pytest.mark.parametrize('points', [np.full((5, 2), 30.0), np.full((5, 2), np.nan)])
def test_points_that_span_no_face(points: np.ndarray) -> None:
    with pytest.raises(DataError, match='do not span a face'):
        similarity(points, TEMPLATE)


@pytest.mark.parametrize('size', [48, 112])
@pytest.mark.parametrize('scale', [0.7, 1.0, 2.3, 5.0])
@pytest.mark.parametrize('angle', [0.0, 0.5])
def test_what_is_at_the_points_comes_to_the_template(size: int, scale: float, angle: float) -> None:
    """A blob at each point of a picture is found at the template's place by its centre of mass."""
    points = turned(TEMPLATE, scale, angle, (150, 60))
    y, x = np.mgrid[:700, :800]
    for i in range(5):
        blob = np.exp(-((x - points[i, 0]) ** 2 + (y - points[i, 1]) ** 2) / (2 * (5 * scale) ** 2))
        rgb = np.repeat((250 * blob).astype(np.uint8)[..., None], 3, 2)
        face = aligned(rgb, points, size).astype(float)[..., 0]
        assert face.shape == (size, size)
        rows, columns = np.mgrid[:size, :size]
        centre = np.array([(columns * face).sum(), (rows * face).sum()]) / face.sum()
        np.testing.assert_allclose(centre, TEMPLATE[i] * size / 112, atol=0.3)


def test_fine_detail_becomes_grey() -> None:
    """A chequer of single pixels, shrunk 6.4 times: every pixel of the face is the mean."""
    chequer = (np.indices((1000, 1000)).sum(0) % 2 * 255).astype(np.uint8)
    face = aligned(np.repeat(chequer[..., None], 3, 2), TEMPLATE * 6.4 + 60)
    assert abs(face[5:-5, 5:-5].astype(float) - 127.5).max() < 20


def test_beyond_the_picture_it_is_black() -> None:
    white = np.full((60, 60, 3), 255, np.uint8)
    face = aligned(white, TEMPLATE)
    assert (face[:58, :58] == 255).all()
    assert not face[62:].any()
