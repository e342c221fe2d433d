"""Faces cut out upright, with eyes and mouth always in the same place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import DataError
from abawfw.features.packages import optional_package

SIZE = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Eyes, nose and corners of the mouth in a picture of 112x112, as ArcFace and most others have them."""


def similarity(points: NDArray, template: NDArray) -> NDArray[np.float64]:
    """The turn, scale and shift that bring points closest to a template in the sense of least squares.

    With points as complex numbers this is a linear regression with one factor; Umeyama's solution without
    mirroring.

    Args:
        points: (points, 2).
        template: (points, 2).

    Returns:
        (2, 3), for points as columns (x, y, 1).

    Raises:
        DataError: all points are in one place, or not finite.
    """
    z, w = (np.asarray(p, np.float64) @ [1, 1j] for p in (points, template))
    centred = z - z.mean()
    spread = float((abs(centred) ** 2).sum())
    if not 1e-6 < spread < math.inf:
        raise DataError(f'face with the points {np.asarray(points).tolist()}: they do not span a face')
    factor = (centred.conj() * (w - w.mean())).sum() / spread
    shift = w.mean() - factor * z.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def shrinkable(points: NDArray, size: int = SIZE) -> int:
    """By how much a picture can be shrunk with its face still twice as large as wanted; a whole number.

    Args:
        points: (5, 2) in the picture.
        size: side of the aligned face.
    """
    matrix = similarity(points, TEMPLATE * (size / SIZE))
    return max(1, int(0.5 / math.hypot(matrix[0, 0], matrix[1, 0])))


def aligned(rgb: NDArray[np.uint8], points: NDArray, size: int = SIZE) -> NDArray[np.uint8]:
    """One face, brought to the template.

    A face larger than wanted is cut out at about its own size and shrunk by the mean over areas, so that fine
    detail does not alias.

    Args:
        rgb: (height, width, 3).
        points: (5, 2), as a detector gives them.
        size: side of the result.

    Returns:
        (size, size, 3), black where the picture ends.
    """
    cv2: Any = optional_package('cv2', 'features', 'aligning faces')
    matrix = similarity(points, TEMPLATE * (size / SIZE))
    finer = min(max(math.ceil(1 / math.hypot(matrix[0, 0], matrix[1, 0])), 1), 16)
    # pixel centres lie at whole numbers: the finer grid begins half a coarse pixel earlier
    matrix = matrix * finer
    matrix[:, 2] += (finer - 1) / 2
    face = cv2.warpAffine(rgb, matrix, (size * finer, size * finer), flags=cv2.INTER_LINEAR)
    return face if finer == 1 else cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)
