"""Writing a .npy file piece by piece."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np

from abawfw.datasets.stores.base import FeatureInfo
from abawfw.datasets.stores.checks import not_finite
from abawfw.errors import DataError

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

    def __enter__(self) -> NpyWriter:
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
