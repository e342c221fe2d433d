"""Writing a .npy file piece by piece."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

import numpy as np


class NpyWriter:
    """Appends rows to a .npy file whose shape is known beforehand; memory holds one piece at a time.

    Args:
        path: file to make.
        shape: shape of the whole array.
        dtype: numpy name of its type.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self._file = path.open('wb')
        header = {'descr': np.lib.format.dtype_to_descr(self.dtype), 'fortran_order': False, 'shape': shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def __enter__(self) -> NpyWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        try:
            if kind is None:  # on the disk before the folder gets its final name
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def write(self, rows: np.ndarray) -> None:
        """Append rows, (rows, *shape[1:])."""
        self._file.write(np.ascontiguousarray(rows, dtype=self.dtype).data)
