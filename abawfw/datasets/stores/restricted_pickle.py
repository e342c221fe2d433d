"""Pickles from outside, read without running what they carry."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core import multiarray, numeric

from abawfw.errors import DataError


def read_pickle(path: Path) -> Any:
    """Read a pickle of plain containers, text, numbers and numpy arrays; anything else in it is refused.

    A pickle names the functions that are to be called while it is read. Only those that build the values
    above are known here, so that no code in the file can run.

    Args:
        path: a file written by ``pickle.dump``, of any protocol, also by Python 2 or numpy 1.

    Raises:
        DataError: there is no such file, it is damaged, or it asks for anything else; names what it asks for.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f'{path}: cannot be read: {error.strerror}') from error
    try:
        return _Restricted(io.BytesIO(content), path).load()
    except DataError:
        raise
    except Exception as error:  # a damaged pickle may fail with anything
        raise DataError(
            f'{path}: damaged, or no pickle ({type(error).__name__}: {error}); copy or write it again'
        ) from error


def _encode(text: str, encoding: str) -> bytes:
    """How pickles of the oldest protocols write bytes."""
    if encoding != 'latin1':
        raise ValueError(f'bytes written as {encoding!r}')
    return text.encode('latin1')


_KNOWN: dict[tuple[str, str], Any] = {
    ('collections', 'OrderedDict'): OrderedDict,
    ('numpy', 'ndarray'): np.ndarray,
    ('numpy', 'dtype'): np.dtype,
    ('_codecs', 'encode'): _encode,
}
for _builtins in ('builtins', '__builtin__'):
    for _type in (set, frozenset, bytes, complex):  # all others are built in to the format
        _KNOWN[_builtins, _type.__name__] = _type
# numpy 2 has renamed the package; importing the old name would warn.
for _core in ('numpy.core', 'numpy._core'):
    _KNOWN[f'{_core}.multiarray', '_reconstruct'] = multiarray._reconstruct
    _KNOWN[f'{_core}.multiarray', 'scalar'] = multiarray.scalar
    _KNOWN[f'{_core}.numeric', '_frombuffer'] = numeric._frombuffer  # type: ignore[attr-defined]


class _Restricted(pickle.Unpickler):
    """Finds nothing but the constructors of plain values."""

    def __init__(self, file: io.BytesIO, path: Path) -> None:
        super().__init__(file)
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        """The constructor of this name; DataError if it is not one of a plain value."""
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise DataError(
                f'{self._path}: refused: it asks for {module}.{name}, and reading it could run code. '
                'Only plain containers, text, numbers and numpy arrays are read: write it again with these'
            ) from None
