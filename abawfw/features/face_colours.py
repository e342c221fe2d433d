"""Telling persons apart by the colours of face, hair and clothes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.features.packages import optional_package

COLOURS = 512
SAME = 0.77  # alikeness from which two faces may be the same person; see `alike`


def colours(rgb: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.float32]:
    """Roots of how often each of 512 colours occurs in a face, its hair and what is worn below it, (512,)."""
    cv2: Any = optional_package('cv2', 'features', 'following faces')
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    x0, x1 = (int(np.clip(x, 0, rgb.shape[1])) for x in (left - 0.15 * width, right + 0.15 * width))
    y0, y1 = (int(np.clip(y, 0, rgb.shape[0])) for y in (top - 0.3 * height, bottom + 0.6 * height))
    if x1 <= x0 or y1 <= y0:
        return np.zeros(COLOURS, np.float32)
    small = cv2.resize(rgb[y0:y1, x0:x1], (32, 48), interpolation=cv2.INTER_AREA).reshape(-1, 3)
    # relative to their mean, so that the same things in less light look the same
    levels = np.minimum(small * (3.5 / max(float(small.mean()), 1.0)), 7).astype(np.int64)
    counts = np.bincount(levels @ [64, 8, 1], minlength=COLOURS)
    return np.sqrt(counts / counts.sum()).astype(np.float32)


def alike(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Bhattacharyya coefficient of two results of `colours`: 1 for equal ones, 0 for none in common.

    Between any two frames of one clip, of the two that were measured, it is .79 at least, a hand before the
    face or 60 % of the light included; between frames of the two it is .69 at most.
    """
    return float(a @ b)
