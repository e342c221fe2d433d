"""Pieces of a picture at the sizes that networks take."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.features.packages import optional_package


def resized(rgb: NDArray, width: int, height: int) -> NDArray[np.uint8]:
    """The picture at another size, every pixel the mean of those it stands for."""
    cv2: Any = optional_package('cv2', 'features', 'MTCNNDetector')
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)


def cut_out(picture: NDArray[np.uint8], squares: NDArray, size: int) -> NDArray[np.uint8]:
    """Squares of the picture, black beyond its edge, all of one size: (squares, size, size, 3)."""
    height, width = picture.shape[:2]
    cut = np.empty((len(squares), size, size, 3), np.uint8)
    for i, (left, top, right, bottom) in enumerate(squares.astype(int)):
        rows = slice(max(top, 0), max(min(bottom + 1, height), 0))
        columns = slice(max(left, 0), max(min(right + 1, width), 0))
        inside = picture[rows, columns]
        whole = np.zeros((bottom - top + 1, right - left + 1, 3), np.uint8)
        if inside.size:
            y, x = max(-top, 0), max(-left, 0)
            whole[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
        cut[i] = resized(whole, size, size)
    return cut
