"""What .npy and .npz files hold, found out without trusting them."""

from __future__ import annotations

import ast
import io
import math
import os
import re
import struct
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.stores.checks import not_finite
from abawfw.datasets.stores.records import FeatureInfo
from abawfw.errors import DataError
from abawfw.files import check_plain

MAGIC = b'\x93NUMPY'
MAX_HEADER = 10_000
"""Bytes; numpy's own limit, since parsing a longer text takes memory."""
NUMBERS = 'fiub'
"""Kinds of types that are read: floats, integers and truth values."""
MAX_NDIM = 32
MAX_COUNT = 1 << 60
_TYPE = re.compile(r'[<>|=]?[A-Za-z?][0-9]{0,9}')  # no records, which numpy would build as the file says


class NpyHeader(NamedTuple):
    """Shape and type of an array in a file, and where its numbers begin.

    Attributes:
        shape: as the file says; its numbers are there.
        columns_first: whether the first axis varies fastest (Fortran's order).
        dtype: a simple type; perhaps not one of numbers.
        offset: bytes before the numbers.
        size: bytes of the numbers; 0 where it holds anything else.
    """

    shape: tuple[int, ...]
    columns_first: bool
    dtype: np.dtype
    offset: int
    size: int


def read_header(path: Path) -> NpyHeader:
    """Read the header of a .npy file.

    Raises:
        ValueError: it is no such file, holds records, or its header asks for more than the file has.
        OSError: it cannot be read; FileNotFoundError if it is not there.
        DataError: it is no plain file, so that opening it could wait for ever.
    """
    check_plain(path)
    with path.open('rb') as file:
        return _header(file, path.stat().st_size)


def read_array(path: Path) -> NDArray:
    """Read a whole .npy file of numbers or truth values.

    Raises:
        DataError: there is no such file, it is damaged, or holds anything else; Python objects are never
            loaded.
    """
    try:
        header = read_header(path)
        with path.open('rb') as file:
            return _array(header, file.read(header.offset + header.size)[header.offset :])
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f'{path}: cannot be read ({reason}); copy or write this file again') from None


def read_arrays(path: Path, names: tuple[str, ...]) -> dict[str, NDArray]:
    """Read arrays of an .npz file that ``numpy.savez`` wrote, which does not compress.

    Raises:
        DataError: there is no such file, it is damaged, compressed, or lacks one of the arrays.
    """
    check_plain(path)
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                entry = archive.getinfo(f'{name}.npy')
                if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > path.stat().st_size:
                    raise ValueError(f'{entry.filename} is compressed')
                content = archive.read(entry)
                header = _header(io.BytesIO(content), len(content))
                found[name] = _array(header, content[header.offset : header.offset + header.size])
    except Exception as error:  # a flipped bit in a header makes zipfile fail in many ways
        raise DataError(f'{path}: damaged ({error}); copy or write this file again') from None
    return found


def check_truth(values: NDArray, path: Path) -> None:
    """Refuse truth values that are neither: numpy would count and invert them as if they were.

    Raises:
        DataError: a byte is neither 0 nor 1.
    """
    if values.dtype == np.bool_ and (values.view(np.uint8) > 1).any():
        raise DataError(f'{path}: holds bytes that are neither true nor false; copy or write this file again')


def _array(header: NpyHeader, content: bytes) -> NDArray:
    if header.dtype.kind not in NUMBERS:
        raise ValueError(f'it holds {header.dtype} of shape {header.shape}, expected numbers')
    if len(content) != header.size:
        raise ValueError('it has become shorter')
    flat = np.frombuffer(content, header.dtype)
    if header.dtype == np.bool_ and (flat.view(np.uint8) > 1).any():
        raise ValueError('it holds bytes that are neither true nor false')
    return flat.reshape(header.shape, order='F' if header.columns_first else 'C').copy(order='K')


def _header(file: BinaryIO, size: int) -> NpyHeader:
    """The header at the beginning of a file of this many bytes."""
    start = file.read(len(MAGIC) + 2)
    if start[: len(MAGIC)] != MAGIC or len(start) < len(MAGIC) + 2:
        raise ValueError('it is no .npy file')
    version = tuple(start[len(MAGIC) :])
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f'it is a .npy file of the unknown version {version[0]}.{version[1]}')
    form = '<H' if version == (1, 0) else '<I'
    length = struct.calcsize(form)
    count = file.read(length)
    if len(count) < length:
        raise ValueError('it ends within its header')
    (text_length,) = struct.unpack(form, count)
    if text_length > MAX_HEADER:
        raise ValueError(f'its header has {text_length:,} bytes, at most {MAX_HEADER:,} are read')
    text = file.read(text_length)
    if len(text) < text_length:
        raise ValueError('it ends within its header')
    shape, columns_first, kind = _parsed(text.decode('utf-8' if version == (3, 0) else 'latin1'))
    offset = len(MAGIC) + 2 + length + text_length
    needed = math.prod(shape) * kind.itemsize
    if kind.kind not in NUMBERS:
        return NpyHeader(shape, columns_first, kind, offset, 0)  # pickled objects have another length
    if size < offset + needed:
        raise ValueError(f'{size:,} bytes, its header asks for {offset + needed:,}')
    return NpyHeader(shape, columns_first, kind, offset, needed)


def _parsed(text: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type, as the text of a header has them."""
    text = re.sub(r'(?<=[0-9])L\b', '', text)  # Python 2 wrote long numbers so
    try:
        found = ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        found = None
    if not isinstance(found, dict) or found.keys() != {'descr', 'fortran_order', 'shape'}:
        raise ValueError('its header does not say type, order and shape')
    descr, columns_first, shape = found['descr'], found['fortran_order'], found['shape']
    whole = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
    if not whole or len(shape) > MAX_NDIM or math.prod(max(n, 1) for n in shape) > MAX_COUNT:
        raise ValueError(f'its header has the shape {str(shape)[:80]}, expected whole numbers from 0')
    if type(columns_first) is not bool:
        raise ValueError('its header does not say the order of its numbers')
    if type(descr) is not str or not _TYPE.fullmatch(descr):
        raise ValueError('it holds records, expected numbers')
    try:
        return shape, columns_first, np.dtype(descr)
    except (TypeError, ValueError):
        raise ValueError(f'it holds the unknown type {descr!r}') from None


Rows = np.ndarray | Iterable[np.ndarray]
"""An array (rows, *dims), or consecutive pieces of one."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in what the system reports while it is written: a full disk, a limit on its size."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


class NpyWriter:
    """Appends rows to a .npy file; memory holds one piece at a time.

    Args:
        path: file to make.
        shape: shape of the whole array; None as its first number: as many rows as will be written.
        dtype: numpy name of its type.

    Raises:
        OSError: it cannot be written, or not to its end; the error names the file.
    """

    def __init__(self, path: Path, shape: tuple[int | None, ...], dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self.rows = 0
        self._path = path
        self._shape = shape
        self._file = path.open('wb')
        with naming(path):
            self._write_header()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        with naming(self._path), self._file:
            if kind is None:  # on the disk before the folder gets its final name
                if self._shape[0] is None:
                    self._file.seek(0)
                    self._write_header()  # of the same size: numpy leaves room for more rows
                self._file.flush()
                os.fsync(self._file.fileno())

    def write(self, rows: np.ndarray) -> None:
        """Append rows, (rows, *shape[1:])."""
        with naming(self._path):
            self._file.write(np.ascontiguousarray(rows, dtype=self.dtype).data)
        self.rows += len(rows)

    def _write_header(self) -> None:
        shape = (self.rows if self._shape[0] is None else self._shape[0], *self._shape[1:])
        header = {'descr': np.lib.format.dtype_to_descr(self.dtype), 'fortran_order': False, 'shape': shape}
        np.lib.format.write_array_header_1_0(self._file, header)


def write_rows(path: Path, rows: Rows, info: FeatureInfo, what: str) -> int:
    """Write an array, or the pieces of one, to a .npy file.

    Args:
        path: file to make.
        rows: (rows, *dims), or an iterator of such pieces, of which one is held at a time.
        info: shape of a row and type on disk.
        what: named in errors.

    Returns:
        The number of rows.

    Raises:
        DataError: rows of another shape; values that the type cannot hold.
    """
    with NpyWriter(path, (None, *info.dims), info.dtype) as out:
        for piece in (rows,) if isinstance(rows, np.ndarray) else rows:
            values = np.asarray(piece)
            if not values.ndim or values.shape[1:] != info.dims:
                raise DataError(f'{what} has shape {values.shape}, expected (frames, *{info.dims})')
            if info.dtype == 'uint8' and values.dtype != np.uint8:
                raise DataError(f'{what} holds {values.dtype}, and is written as uint8; make it uint8 first')
            with np.errstate(over='ignore'):
                typed = values.astype(info.dtype, copy=False)
            too_large = not_finite(typed) & ~not_finite(values)
            if too_large.any():
                frame = out.rows + int(too_large.argmax())
                raise DataError(f'{what}, frame {frame}: a value is too large for {info.dtype}; use float32')
            out.write(typed)
        return out.rows
