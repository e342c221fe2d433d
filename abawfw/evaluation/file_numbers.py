"""Numbers of files that may hold anything."""

from __future__ import annotations

import math
from typing import Any

LARGEST = 1e100  # nothing that a run tells is larger; what is drawn or printed must not overflow


def number(value: Any) -> float | None:
    """The value, if it is a number that can be printed and drawn; None if it is anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -LARGEST < value < LARGEST and not math.isnan(value) else None
