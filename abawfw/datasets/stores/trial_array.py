"""One .npy file of a trial, read by position."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from abawfw.datasets.stores.npy_file import NUMBERS, check_truth, read_header
from abawfw.errors import DataError

DAMAGED = 'truncated or damaged: copy or write this file again'
KEPT_DTYPES = ('float16', 'float32', 'uint8')
"""Types handed out as they are stored; other numbers become float32."""


def given_dtype(stored: str) -> str:
    """Name of the type that is handed out of a type on disk."""
    return stored if stored in KEPT_DTYPES else 'float32'


class TrialArray:
    """An array (frames, *dims) on disk of which stretches are read into fresh memory.

    Only the header is read here. The file is opened for each read and closed again: a data set has thousands
    of such files, more than a process may hold open, and nothing open can cross a fork or a pickle.

    Args:
        path: a .npy file.

    Raises:
        DataError: the file is missing, damaged or no plain file, or holds anything but numbers; Python
            objects in it are never loaded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            header = read_header(path)
        except FileNotFoundError:
            raise DataError(f'{path}: no such file') from None
        except (OSError, ValueError) as error:
            raise DataError(f'{path}: {error}: {DAMAGED}') from error
        self.shape, self._columns_first, self._stored, self._offset, _ = header
        if self._stored.kind not in NUMBERS:
            raise DataError(
                f'{path}: holds {self._stored} of shape {self.shape}, expected numbers (float, int, uint8 or '
                'bool), one row per frame; write it again as such'
            )

    @property
    def dtype(self) -> str:
        """Name of the type on disk, whatever its byte order."""
        return self._stored.name

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop``, (stop - start, *shape[1:])."""
        shape = (stop - start, *self.shape[1:])
        row = int(np.prod(self.shape[1:], dtype=np.int64))
        try:
            if self._columns_first:  # as pandas writes its tables: rows do not lie together
                mapped = np.memmap(self.path, self._stored, 'r', self._offset, self.shape, order='F')
                values = np.array(mapped[start:stop], order='C', subok=False)
            else:
                offset = self._offset + start * row * self._stored.itemsize
                values = np.fromfile(self.path, self._stored, (stop - start) * row, offset=offset)
                values = values.reshape(shape)
        except (OSError, ValueError) as error:
            raise DataError(f'{self.path}: rows {start} to {stop}: {DAMAGED} ({error})') from error
        check_truth(values, self.path)
        return np.asarray(values, dtype=given_dtype(self.dtype))
