"""One .npy file of a packed store, read by position."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from abawfw.datasets.stores.npy_file import check_truth, read_header
from abawfw.errors import DataError

HALF_WRITTEN = 'the store is half-written or damaged: pack it again (tools/pack_features.py --overwrite)'


class PackedArray:
    """An array on disk of which stretches are read into fresh memory.

    Positioned reads instead of a memory map: mapped pages would count as memory of the process, which
    would then grow with the data it has touched. A positioned read needs no shared file position, so that one
    open file serves a process and its forks; a pickle opens its own.

    Args:
        path: a .npy file.
        shape: the shape it must have.
        dtype: the numpy name of the type it must have.

    Raises:
        DataError: the file is missing, has another shape or type, or has not the length that its shape asks.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.path, self.shape, self.dtype = path, tuple(shape), np.dtype(dtype)
        try:
            header = read_header(path)
            size = path.stat().st_size - header.offset
        except (OSError, ValueError) as error:
            raise DataError(f'{path}: {error}; {HALF_WRITTEN}') from error
        self._offset = header.offset
        if header[:3] != (self.shape, False, self.dtype):
            raise DataError(
                f'{path}: holds {header.dtype} {header.shape}, '
                f'the index says {self.dtype} {self.shape}; {HALF_WRITTEN}'
            )
        expected = self._row * self.shape[0]
        if size != expected:
            raise DataError(f'{path}: {size} bytes of data, the index says {expected}; {HALF_WRITTEN}')
        self._descriptor: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {'_descriptor': None}

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop``, (stop - start, *shape[1:])."""
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        view = out.reshape(-1).view(np.uint8).data
        position = self._offset + start * self._row
        while len(view):
            count = os.preadv(self._open(), [view], position)
            if not count:
                raise DataError(f'{self.path}: ends before row {stop}; {HALF_WRITTEN}')
            view, position = view[count:], position + count
        check_truth(out, self.path)
        return out

    @property
    def _row(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def _open(self) -> int:
        if self._descriptor is None:
            try:
                self._descriptor = os.open(self.path, os.O_RDONLY)
            except OSError as error:
                raise DataError(f'{self.path}: {error.strerror}; {HALF_WRITTEN}') from error
            weakref.finalize(self, os.close, self._descriptor)
        return self._descriptor
