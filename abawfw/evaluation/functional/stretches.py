"""Where something holds without interruption."""

from __future__ import annotations

from typing import Any

import numpy as np


def stretches(holds: Any) -> np.ndarray:
    """First frame, and frame after the last, of every unbroken run of True.

    Args:
        holds: (frames,) bool.

    Returns:
        (runs, 2) int, in order.

    >>> stretches([True, True, False, True]).tolist()
    [[0, 2], [3, 4]]
    """
    edges = np.diff(np.concatenate([[False], np.asarray(holds, dtype=bool), [False]]).astype(np.int8))
    return np.flatnonzero(edges).reshape(-1, 2)
