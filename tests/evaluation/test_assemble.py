from __future__ import annotations

import numpy as np
import pytest

from abawfw.errors import DataError
from abawfw.evaluation.functional import assemble


def test_mean_of_covering_windows() -> None:
    entries = [
        (0, np.array([[1.0], [2.0], [3.0]])),
        (2, np.array([[5.0], [6.0]])),
        (1, np.array([[0.0], [1.0]])),
    ]
    np.testing.assert_array_equal(assemble(entries, 4, 'v'), [[1.0], [1.0], [3.0], [6.0]])


def test_single_cover_is_exact() -> None:
    values = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    np.testing.assert_array_equal(assemble([(3, values[3:]), (0, values[:3])], 5, 'v'), values)


def test_uncovered_frame_is_named() -> None:
    with pytest.raises(DataError, match='video v: 2 of 5 frames are covered by no clip, first frame 2'):
        assemble([(0, np.zeros((2, 1))), (4, np.zeros((1, 1)))], 5, 'v')


def test_clip_beyond_video() -> None:
    with pytest.raises(DataError, match='video v: a clip covers frames 3 to 5, but there are 5'):
        assemble([(3, np.zeros((3, 1)))], 5, 'v')


def test_empty_video() -> None:
    with pytest.raises(DataError, match='no frame'):
        assemble([], 0, 'v')
