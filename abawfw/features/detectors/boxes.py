"""Arithmetic of boxes: (boxes, 4) of left, top, right, bottom."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def overlaps(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """Intersection over union of every box of ``a`` with every box of ``b``, (len(a), len(b))."""
    a, b = np.asarray(a, np.float64).reshape(-1, 1, 4), np.asarray(b, np.float64).reshape(1, -1, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.maximum(sides, 0).prod(-1)
    return shared / np.maximum(area(a) + area(b) - shared, 1e-9)


def area(boxes: NDArray) -> NDArray:
    """Area of each box, 0 for one that is turned inside out."""
    return np.maximum(boxes[..., 2:] - boxes[..., :2], 0).prod(-1)


def squared(boxes: NDArray) -> NDArray:
    """Squares around the same centres with the longer side of each box, in whole pixels."""
    side = np.floor((boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True))
    corner = np.floor((boxes[:, :2] + boxes[:, 2:] - side) / 2)
    return np.concatenate([corner, corner + side], 1)


def strongest(boxes: NDArray, scores: NDArray, limit: float, of_smaller: bool = False) -> NDArray[np.int64]:
    """Which boxes stay when each removes the weaker ones that it covers by more than ``limit``.

    Args:
        boxes: (boxes, 4) in whole pixels, both edges inside.
        scores: (boxes,).
        limit: intersection over union.
        of_smaller: take the intersection over the smaller box instead.

    Returns:
        Indices, the strongest first.
    """
    order = np.argsort(-scores, kind='stable')
    areas = (boxes[:, 2:] - boxes[:, :2] + 1).prod(1)
    kept = []
    while len(order):
        first, rest = order[0], order[1:]
        kept.append(first)
        low = np.maximum(boxes[first, :2], boxes[rest, :2])
        high = np.minimum(boxes[first, 2:], boxes[rest, 2:])
        shared = np.maximum(high - low + 1, 0).prod(1)
        smaller = np.minimum(areas[first], areas[rest])
        whole = smaller if of_smaller else areas[first] + areas[rest] - shared
        order = rest[shared <= limit * whole]
    return np.array(kept, np.int64)


def moved(boxes: NDArray, shifts: NDArray) -> NDArray:
    """Boxes with each edge moved by a share of their width and height."""
    return boxes + shifts * np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)


def are_usable(boxes: NDArray) -> NDArray[np.bool_]:
    """Which boxes are finite and have an inside."""
    return np.isfinite(boxes).all(1) & (boxes[:, 2:] - boxes[:, :2] >= 1).all(1)


def usable(boxes: NDArray) -> NDArray:
    """Those of the boxes that are."""
    return boxes[are_usable(boxes)]
