"""What a store gives is checked by the base class: shape and type, before anything is stacked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from memory_store import MemoryStore

from abawfw.errors import DataError

WRONG: dict[str, tuple[str, Any, str]] = {
    'too few frames': ('_read', np.zeros((4, 3), np.float32), 'float32 of shape (4, 3)'),
    'another dim': ('_read', np.zeros((5, 2), np.float32), 'float32 of shape (5, 2)'),
    'no dims': ('_read', np.zeros(5, np.float32), 'float32 of shape (5,)'),
    'another type': ('_read', np.zeros((5, 3)), 'float64 of shape (5, 3)'),
    'a list': ('_read', [[0.0] * 3] * 5, 'list'),
    'a mask of numbers': ('_observed', np.ones(5, np.uint8), 'uint8 of shape (5,)'),
    'a mask too long': ('_observed', np.ones(6, bool), 'bool of shape (6,)'),
    'a mask of columns': ('_observed', np.ones((5, 1), bool), 'bool of shape (5, 1)'),
    'labels of one target': ('_labels', np.zeros((5, 1)), 'float64 of shape (5, 1)'),
    'labels of text': ('_labels', np.full((5, 2), '0'), 'str32 of shape (5, 2)'),
    'no labels': ('_labels', None, 'NoneType'),
}
PROMISED = {
    '_read': 'float32 or float16 or uint8 of shape (5, 3)',
    '_observed': 'bool of shape (5,)',
    '_labels': 'numbers of shape (5, 2)',
}


@pytest.mark.parametrize('case', WRONG)
def test_a_wrong_answer_is_refused(case: str) -> None:
    method, answer, given = WRONG[case]

    def wrong(self: MemoryStore, *arguments: Any) -> Any:
        return answer

    store = type('WrongStore', (MemoryStore,), {method: wrong})([9])
    with pytest.raises(DataError) as error:
        store.labels('v0', 2, 7) if method == '_labels' else getattr(store, method[1:])('v0', 'face', 2, 7)
    text = str(error.value)
    what = {'_read': "feature 'face'", '_observed': "the mask of feature 'face'", '_labels': 'labels'}[method]
    assert f"video 'v0', frames 2 to 7: WrongStore.{method} gives {what} as {given}" in text
    assert text.endswith(f'but the store promises {PROMISED[method]}')


def test_right_answers_pass() -> None:
    store = MemoryStore([9])
    assert store.read('v0', 'face', 2, 7).shape == (5, 3)
    assert store.observed('v0', 'face', 2, 7).shape == (5,)
    assert store.labels('v0', 2, 7).shape == (5, 2)
    assert store.read('v0', 'face', 9, 9).shape == (0, 3)
