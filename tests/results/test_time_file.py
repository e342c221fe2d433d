"""Times of frames beside predictions: what is written is read, and what is damaged is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from abawfw.errors import DataError
from abawfw.results.side_files import TIMES, read_times, write_times

EVEN = 0.5 + np.arange(1000) / 29.97
UNEVEN = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.1, 40))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    times = {
        'even': EVEN,
        'uneven': UNEVEN,
        'one': np.array([2.0]),
        'unknown': None,
        'gap': np.array([0, np.nan]),
    }
    assert write_times(tmp_path, times) == [tmp_path / TIMES]
    assert json.loads((tmp_path / TIMES).read_text())['even'] == {'frames': 1000, 'start': 0.5, 'fps': 29.97}
    found = read_times(tmp_path, {'even': 1000, 'uneven': 40, 'one': 1, 'unknown': 7, 'gap': 2})
    assert list(found) == ['even', 'uneven', 'one']
    np.testing.assert_allclose(found['even'], EVEN, atol=1e-6)
    np.testing.assert_allclose(found['uneven'], UNEVEN, atol=1e-4)
    assert found['one'].tolist() == [2.0]
    assert list(read_times(tmp_path, {'even': 1000})) == [
        'even'
    ]  # as many videos as there are predictions of


def test_without_times_no_file_stays(tmp_path: Path) -> None:
    write_times(tmp_path, {'a': EVEN})
    assert write_times(tmp_path, {'a': None}) == []
    assert not (tmp_path / TIMES).exists()
    assert read_times(tmp_path, {'a': 1000}) == {}


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('{', 'Expecting property name'),
        ('[]', "'list' object"),
        ('{"a": {"frames": 5, "start": 0, "fps": 25}}', '5 and not 4 frames of video a'),
        ('{"a": {"frames": 4, "start": 0, "fps": 0}}', 'video a: "fps" is 0'),
        ('{"a": {"frames": 4, "start": NaN, "fps": 25}}', '"start" nan'),
        ('{"a": {"frames": 4, "seconds": [0, 1, 2]}}', 'one number for each of 4 frames'),
        ('{"a": {"frames": 4, "seconds": [0, 1, "x", 3]}}', 'one number for each of 4 frames'),
        ('{"a": {"frames": 4, "seconds": [0, 2, 1, 3]}}', 'video a: times that fall'),
        ('{"a": {"frames": 4}}', "'start'"),
    ],
)
def test_damaged(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / TIMES).write_text(text)
    with pytest.raises(DataError, match=rf'(?s){TIMES} is damaged.*{said}.*tools/test\.py'):
        read_times(tmp_path, {'a': 4})
