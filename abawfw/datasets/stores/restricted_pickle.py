"""Pickles of data sets, read without running what they carry."""

from __future__ import annotations

import io
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from abawfw.errors import DataError
from abawfw.files import check_plain
from abawfw.inert_pickle import BASIC, Call, Name, Python2Text, RefusedPickleError, Walk, read_inert

MAX_BYTES = 64 << 20
"""Largest pickle that is read; the index of ten thousand videos has one megabyte."""
MAX_NDIM = 32
CORES = ('numpy.core', 'numpy._core')  # numpy 2 has renamed the package
KNOWN = BASIC | {
    Name('numpy', 'ndarray'),
    Name('numpy', 'dtype'),
    *(Name(f'{core}.multiarray', name) for core in CORES for name in ('_reconstruct', 'scalar')),
    *(Name(f'{core}.numeric', '_frombuffer') for core in CORES),
}
# What arrays may hold; besides, text (U) and bytes (S) of any length.
NUMBERS = ('b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8')
OBJECTS = 'O'

Plain = Callable[[Any], Any]


def read_pickle(path: Path) -> Any:
    """Read a pickle of plain containers, text, numbers and numpy arrays; anything else in it is refused.

    No function that it names is called, numpy's own neither: an array is made from its shape, one of a short
    list of types, and bytes of exactly the length that these two ask for. An array of Python objects, such as
    a column of names, becomes a list.

    Args:
        path: a file written by ``pickle.dump``, of any protocol, also by Python 2 or numpy 1.

    Raises:
        DataError: there is no such file, it is no plain file, is damaged or too large, nests too deeply, or
            asks for anything else; names what it asks for.
    """
    check_plain(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DataError(
                f'{path}: {size:,} bytes; pickles of up to {MAX_BYTES:,} are read, and the index of a data '
                'set needs far less: write it again without what does not belong there'
            )
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f'{path}: cannot be read: {error.strerror}') from error
    try:
        return Walk(_make).plain(read_inert(io.BytesIO(content), KNOWN))
    except RefusedPickleError as error:
        raise DataError(
            f'{path}: refused: it asks for {error}, and reading it could run code. '
            'Only plain containers, text, numbers and numpy arrays are read: write it again with these'
        ) from None
    except Exception as error:  # a damaged pickle may fail with anything
        raise DataError(
            f'{path}: damaged, or no pickle ({type(error).__name__}: {error}); copy or write it again'
        ) from None


def _make(record: Any, plain: Plain) -> Any:
    """The array or number that a call of numpy's asks for."""
    if type(record) is not Call:
        raise RefusedPickleError(f'{record.module}.{record.name} itself')
    name = record.function.name
    if name == '_reconstruct':  # an empty array, which gets everything as its state
        if record.arguments[0] != Name('numpy', 'ndarray'):
            raise ValueError('an array of another class')
        _, shape, dtype, columns_first, data = record.state
        order = 'F' if columns_first is True or columns_first == 1 else 'C'
        return _array(plain(shape), _dtype(dtype, plain), data, order, plain)
    if name == '_frombuffer':
        data, dtype, shape, order, *axes = record.arguments
        order = plain(order)
        found = _array(plain(shape), _dtype(dtype, plain), data, 'F' if order == 'F' else 'C', plain)
        if order == 'K' and axes:
            found = found.transpose([_size(axis) for axis in plain(axes[0])])
        return found
    if name == 'scalar':
        dtype, data = record.arguments
        return _array((), _dtype(dtype, plain), data, 'C', plain)[()]
    raise RefusedPickleError(f'a value of {record.function.module}.{name}')


def _dtype(record: Any, plain: Plain) -> str:
    """The name of a type, such as '<f8'; only text and byte order are taken from what the file says of it."""
    if type(record) is not Call or record.function != Name('numpy', 'dtype') or record.state is None:
        raise ValueError('an array without a type')
    name = plain(record.arguments[0])
    _, order, subtype, names, fields, *_ = plain(record.state)
    if type(name) is not str or (subtype, names, fields) != (None, None, None):
        raise RefusedPickleError('an array of records')
    if re.fullmatch('O[48]?', name):
        return OBJECTS
    if name not in NUMBERS and not re.fullmatch(r'[US][1-9][0-9]{0,5}', name):
        raise RefusedPickleError(f'an array of the type {name[:40]!r}')
    if type(order) is not str or order not in tuple('<>|='):
        raise ValueError('an unknown byte order')
    return f'{order}{name}'


def _array(shape: Any, dtype: str, data: Any, order: str, plain: Plain) -> Any:
    """An array of plain values; a list where they are objects."""
    if type(shape) is not tuple or len(shape) > MAX_NDIM:
        raise ValueError('the shape of an array is no tuple')
    sizes = [_size(size) for size in shape]
    if math.prod(max(size, 1) for size in sizes) > MAX_BYTES:  # what has no values has a shape all the same
        raise ValueError('an array of an impossible shape')
    if dtype == OBJECTS:
        items = plain(data)
        if type(items) is not list or sizes != [len(items)]:
            raise RefusedPickleError('an array of objects that is no list of plain values')
        return items
    content = data if type(data) in (bytes, Python2Text) else plain(data)
    kind = np.dtype(dtype)  # of the short list above
    count = math.prod(sizes)
    if type(content) not in (bytes, Python2Text) or len(content) != count * kind.itemsize:
        raise ValueError(f'an array of {count} {kind} and bytes of another length')
    flat = np.frombuffer(content, kind)
    if kind.kind == 'b' and (flat.view(np.uint8) > 1).any():
        raise ValueError('an array of truth values that are neither')
    if kind.kind == 'U':
        codes = flat.view(np.dtype('u4').newbyteorder(kind.byteorder))
        if (codes > sys.maxunicode).any() or ((codes >= 0xD800) & (codes <= 0xDFFF)).any():
            raise ValueError('an array of text that is none')
    return flat.reshape(sizes, order=order).copy(order='K')  # type: ignore[call-overload]


def _size(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError('a size that is no whole number, or below 0')
    return value
