"""Values of JSON of others, taken with errors that name the file and the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abawfw.errors import DataError


def value_of(item: Any, key: str, kind: type, path: Path, where: str) -> Any:
    """``item[key]``, which must be of a kind (dict, list, str, float).

    Raises:
        DataError: Naming file, place and key if it is missing or of another kind.
    """
    if not isinstance(item, dict) or key not in item:
        raise DataError(f'{path}: {where} has no key {key!r}')
    value = item[key]
    right = (
        isinstance(value, float) or (type(value) is int and value.bit_length() < 1000)  # a float can hold it
        if kind is float
        else isinstance(value, kind)
    )
    if not right:
        raise DataError(
            f'{path}: {where}, key {key!r}: expected {kind.__name__}, found {type(value).__name__}'
        )
    return value


def table_of(rows: list, keys: tuple[str, ...], path: Path, where: str) -> NDArray[np.float64]:
    """(rows, keys) numbers from a list of dicts.

    Raises:
        DataError: Naming file, row and key of the first value that is missing, no number or not finite.
    """
    values = [
        [value_of(row, key, float, path, f'{where}, entry {i}') for key in keys] for i, row in enumerate(rows)
    ]
    table = np.array(values, np.float64).reshape(len(rows), len(keys))
    for i, k in np.argwhere(~np.isfinite(table))[:1]:
        raise DataError(f'{path}: {where}, entry {i}, key {keys[k]!r}: {table[i, k]} is not a finite number')
    return table
