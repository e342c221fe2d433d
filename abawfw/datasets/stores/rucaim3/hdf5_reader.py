"""Arrays of numbers in HDF5 files that may come from anywhere."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5g, h5l, h5o, h5s, h5t, h5z

from abawfw.datasets.stores.records import DAMAGED
from abawfw.errors import DataError, nearest
from abawfw.files import check_plain

OPEN_ARRAYS = (
    256  # looking an array up takes HDF5 longer than reading a clip of it; each may hold a MB of chunks
)
MAX_ROWS = 1 << 24
"""Frames of a video at most: six days of 30 per second."""
MAX_NUMBERS = 1 << 26
"""Numbers in one frame at most: more than an image of 4,096 x 4,096 pixels has."""
MAX_CHUNK = 1 << 30
"""Bytes of a chunk at most; reading one number of it takes that much memory."""
MAX_LINKS = 32
"""Links and virtual arrays that may lead on to one another."""

COPY = 'copy what it stands for into this file'
_NO_NUMBERS = {
    h5t.STRING: 'text',
    h5t.COMPOUND: 'records or complex numbers',
    h5t.ARRAY: 'arrays in arrays',
    h5t.VLEN: 'rows of any length',
    h5t.OPAQUE: 'raw bytes',
    h5t.REFERENCE: 'references',
    h5t.TIME: 'times',
}


class HDF5Reader:
    """Opens arrays ``GROUP/NAME`` of the HDF5 files of a store, and checks each before any of it is read.

    Files are opened at their first use in a process: a fork or a pickle never carries an open one.

    A file holds more than numbers, and reaches further than itself. What is refused, by its name: links and
    virtual arrays that lead out of the folder of the store or to nothing (HDF5 reads zeros there), raw data
    in other files, what is no plain number (numpy would build other types as the file says), arrays of
    which nothing was ever written, and sizes beyond `MAX_ROWS`, `MAX_NUMBERS` and `MAX_CHUNK`. Files and
    folders of the store may be symbolic links.

    Args:
        root: folder of the store.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.abspath(root))
        self._files: dict[Path, h5py.File] = {}
        self._arrays: dict[tuple[Path, str, str], h5py.Dataset] = {}
        self._sources: set[tuple[Path, str]] = set()  # of virtual arrays, that have been checked
        self._pid = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {'_files': {}, '_arrays': {}}

    def groups(self, path: Path) -> list[str]:
        """Names at the top of a file, in the order in which they were made."""
        with self.reading(path) as file:
            return [_decoded(name, path) for name in file.id]

    def names(self, path: Path, group: str) -> list[str] | None:
        """Names in a group; None if there is no such group."""
        with self.reading(path) as file:
            found, at = self._find(path, file.id, group.encode())
            if found is None:
                return None
            if not isinstance(found, h5g.GroupID):
                raise DataError(f'{at}: {group!r} is no group; {DAMAGED}')
            return [_decoded(name, at) for name in found]

    def array(self, path: Path, group: str, name: str) -> h5py.Dataset:
        """An array of numbers, checked and kept open; to be read within `reading`."""
        key = (path, group, name)
        with self.reading(path) as file:
            if key not in self._arrays:
                where = f'{path}: {name} of {group!r}'
                found, at = self._find(path, file.id, f'{group}/{name}'.encode())
                if found is None:
                    there = self.names(path, group)
                    if there is None:
                        raise DataError(f'{path}: no group {group!r}; {nearest(group, self.groups(path))}')
                    raise DataError(f'{path}: {group!r} has no array {name}, only {there}')
                self._check(found, at, where)
                if len(self._arrays) >= OPEN_ARRAYS:
                    del self._arrays[next(iter(self._arrays))]  # the oldest
                self._arrays[key] = h5py.Dataset(found)
            return self._arrays[key]

    def number(self, path: Path, group: str, name: str) -> float:
        """The one finite number that an array holds, of shape () or (1,).

        Raises:
            DataError: it holds none, or more than one.
        """
        with self.reading(path):
            array = self.array(path, group, name)
            if array.size != 1:
                raise DataError(f'{path}: {name} of {group!r} has shape {array.shape}, expected one number')
            value = float(np.asarray(array[()]).reshape(()))
        if not math.isfinite(value):
            raise DataError(f'{path}: {name} of {group!r} is {value}, expected a finite number')
        return value

    def unwritten(self, path: Path, group: str, name: str) -> tuple[int, int]:
        """Chunks of an array that were never written and read as 0, and all its chunks."""
        with self.reading(path):
            array = self.array(path, group, name)
            if array.chunks is None or _has_fill_value(array.id):
                return 0, 0
            pairs = zip(array.shape, array.chunks, strict=True)
            count = math.prod(-(-size // chunk) for size, chunk in pairs)
            return count - array.id.get_num_chunks(), count

    @contextmanager
    def reading(self, path: Path) -> Iterator[h5py.File]:
        """The open file; what goes wrong inside becomes a DataError that names it."""
        if self._pid != os.getpid():  # after a fork: the parent's files are not ours
            self._files, self._arrays, self._pid = {}, {}, os.getpid()
        try:
            if path not in self._files:
                check_plain(path)
                self._files[path] = h5py.File(path, 'r')
            yield self._files[path]
        except FileNotFoundError:
            raise DataError(f'{path}: no such file') from None
        except PermissionError as error:
            raise DataError(f'{path}: cannot be read ({error.strerror})') from error
        except OSError as error:
            raise DataError(f'{path}: {_why_not_opened(error)}') from error
        except (RuntimeError, KeyError, ValueError, AttributeError, TypeError) as error:
            raise DataError(f'{path}: {DAMAGED} ({error})') from error

    def _find(
        self,
        path: Path,
        start: h5g.GroupID,
        name: bytes,
        followed: int = 0,
        link: tuple[str, int] = ('', 0),
    ) -> tuple[Any, Path]:
        """What a name stands for, link by link, None if there is nothing, and the file that it lies in.

        Args:
            path: file that ``start`` lies in.
            start: group from which the name is looked up.
            name: of what is wanted.
            followed: links that led here.
            link: what messages call the first of them, and how many parts at the end of ``name`` are not of
                a link, but of the name that was asked for.

        Raises:
            DataError: a link that is refused, or that leads to nothing.
        """
        found: Any = h5o.open(start, b'/') if name.startswith(b'/') else start
        parts = [part for part in name.split(b'/') if part not in (b'', b'.')]
        for k, part in enumerate(parts):
            if not isinstance(found, h5g.GroupID) or not found.links.exists(part):
                if link[0] and len(parts) - k > link[1]:
                    raise DataError(f'{link[0]}, and there is nothing; {COPY}')
                return None, path
            kind = found.links.get_info(part).type
            if kind == h5l.TYPE_HARD:
                found = h5o.open(found, part)
                continue
            what = f'{path}: {b"/".join(parts[: k + 1]).decode(errors="replace")!r}'
            if followed >= MAX_LINKS:
                raise DataError(f'{what} is one of more than {MAX_LINKS} links that lead on to one another')
            rest = b'/'.join(parts[k + 1 :])
            after = len(parts) - k - 1
            if kind == h5l.TYPE_SOFT:
                target = found.links.get_val(part)
                to = f'{what} is a link to {target.decode(errors="replace")!r}'
                link = (link[0], min(link[1], after)) if link[0] else (to, after)
                return self._find(path, found, target + b'/' + rest, followed + 1, link)
            if kind != h5l.TYPE_EXTERNAL:
                raise DataError(f'{what} is a link of a kind that is not followed; {COPY}')
            filename, target = found.links.get_val(part)
            other = self._inside(path, os.fsdecode(filename), f'{what} is a link into')
            to = f'{what} is a link to {target.decode(errors="replace")!r} in {other}'
            link = (link[0], min(link[1], after)) if link[0] else (to, after)
            with self.reading(other) as file:
                return self._find(other, file.id, b'/' + target + b'/' + rest, followed + 1, link)
        return found, path

    def _inside(self, path: Path, filename: str, what: str) -> Path:
        """The file of this name as seen from another one, if it lies in the folder of the store."""
        other = Path(os.path.abspath(path.parent / filename))
        if '\0' in filename or not other.is_relative_to(self._root):
            raise DataError(f'{what} {filename!r}, which is outside the folder of the store; {COPY}')
        if not other.exists():
            raise DataError(f'{what} {filename!r}, which is not there; {COPY}')
        return other

    def _check(self, found: Any, path: Path, where: str, followed: int = 0) -> None:
        """Refuse what is no array of plain numbers of its own, or of a size that cannot be.

        Args:
            found: what a name stands for.
            path: file that it lies in.
            where: what messages call it.
            followed: links and virtual arrays that led to it.
        """
        if not isinstance(found, h5d.DatasetID):
            raise DataError(f'{where} is no array; {DAMAGED}')
        kind = found.get_type().get_class()
        if kind not in (h5t.INTEGER, h5t.FLOAT, h5t.ENUM, h5t.BITFIELD):
            held = _NO_NUMBERS.get(kind, 'something else')
            raise DataError(f'{where} holds no numbers, but {held}; write it as float32')
        try:
            size = found.dtype.itemsize
        except (TypeError, ValueError) as error:
            raise DataError(f'{where} holds numbers that numpy does not know ({error})') from error
        if found.get_space().get_simple_extent_type() == h5s.NULL:
            raise DataError(f'{where} is empty; write it again')
        shape = found.shape
        if shape and (shape[0] > MAX_ROWS or math.prod(shape[1:]) > MAX_NUMBERS):
            raise DataError(
                f'{where} has shape {shape}: more than {MAX_ROWS:,} frames, or than {MAX_NUMBERS:,} '
                'numbers in one, cannot be read; write it again'
            )
        plist: Any = found.get_create_plist()
        if plist.get_external_count():
            name = os.fsdecode(plist.get_external(0)[0])
            raise DataError(f'{where} has its values in another file, {name!r}; {COPY}')
        layout = plist.get_layout()
        if layout == h5d.VIRTUAL:
            self._check_sources(found, path, where, followed)
            return
        if layout == h5d.CHUNKED:
            _check_chunks(plist, size, where)
        if math.prod(shape) and not found.get_storage_size() and not _has_fill_value(found):
            raise DataError(f'{where} was never written, and would read as 0; write it again')

    def _check_sources(self, found: h5d.DatasetID, path: Path, where: str, followed: int) -> None:
        """Refuse a virtual array that does not have every number from an array of the store."""
        plist: Any = found.get_create_plist()
        size = math.prod(found.shape)
        mapped = 0
        if followed >= MAX_LINKS:
            raise DataError(f'{where} is one of more than {MAX_LINKS} arrays that stand for one another')
        for k in range(plist.get_virtual_count()):
            filename, name = plist.get_virtual_filename(k), plist.get_virtual_dsetname(k)
            into, out_of = plist.get_virtual_vspace(k), plist.get_virtual_srcspace(k)
            count = _points(into)
            if count is None:
                raise DataError(f'{where} is virtual, from {filename!r} without an end; {COPY}')
            other = path if filename == '.' else self._inside(path, filename, f'{where} is virtual, from')
            source = f'{where} is virtual, from {name!r} of {other}'
            with self.reading(other) as file:
                behind, at = self._find(other, file.id, name.encode(), followed + 1)
                if behind is None:
                    raise DataError(f'{source}, which is not there; {COPY}')
                if (other, name) not in self._sources:
                    self._check(behind, at, source, followed + 1)
                    self._sources.add((other, name))
            if not _holds(behind.shape, out_of, count):
                raise DataError(
                    f'{source}, which has shape {behind.shape} and not the numbers taken from there; {COPY}'
                )
            mapped += count
        if mapped < size:
            raise DataError(
                f'{where} is virtual and {size - mapped} of its {size} numbers come from nowhere; {COPY}'
            )


def _points(selection: h5s.SpaceID) -> int | None:
    """How many numbers are selected; None if as many as there are."""
    try:
        return int(selection.get_select_npoints())
    except RuntimeError:
        return None


def _holds(shape: tuple[int, ...], selection: h5s.SpaceID, count: int) -> bool:
    """Whether an array of this shape has everything that is selected in it."""
    if selection.get_select_type() == h5s.SEL_ALL:
        return math.prod(shape) == count
    _, last = selection.get_select_bounds()
    return len(last) == len(shape) and all(n < size for n, size in zip(last, shape, strict=True))


def _check_chunks(plist: Any, size: int, where: str) -> None:
    chunk = math.prod(plist.get_chunk()) * size
    if chunk > MAX_CHUNK:
        raise DataError(
            f'{where} is stored in chunks of {chunk:,} bytes, {MAX_CHUNK:,} can be read; '
            'write it with smaller ones (h5repack)'
        )
    for k in range(plist.get_nfilters()):
        code, _, _, name = plist.get_filter(k)
        if not h5z.filter_avail(code):
            raise DataError(
                f'{where} is compressed with {name.decode(errors="replace") or "a filter"} ({code}), which '
                'HDF5 lacks here; set HDF5_PLUGIN_PATH to its plugin, or compress with gzip (h5repack)'
            )


def _has_fill_value(found: h5d.DatasetID) -> bool:
    """Whether the writer has said what unwritten parts stand for."""
    return bool(found.get_create_plist().fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED)


def readable_name(name: str, where: object) -> str:
    """The name, if it can be written down again.

    Raises:
        DataError: it holds NUL or bytes that are no UTF-8; says that it comes from ``where``.
    """
    if '\0' in name or any('\ud800' <= character <= '\udfff' for character in name):
        raise DataError(f'{where}: {name!a} cannot be a name here: it holds NUL or is not UTF-8; rename it')
    return name


def _decoded(name: bytes | str, path: Path) -> str:
    text = name if isinstance(name, str) else name.decode(errors='surrogateescape')
    return readable_name(text, path)


def _why_not_opened(error: OSError) -> str:
    """What to do about an error of the system, as far as it is no damage of the file."""
    if 'unable to lock file' not in str(error):
        return f'{DAMAGED} ({error})'
    if error.errno in (errno.EAGAIN, errno.EACCES):
        return (
            'is locked by HDF5: another program has it open for writing; wait until that has closed it '
            '(HDF5_USE_FILE_LOCKING=FALSE reads it all the same, half-written or not)'
        )
    why = os.strerror(error.errno) if error.errno else error
    return (
        f'cannot be locked ({why}): its file system has no locks, such as NFS without lockd; '
        'set HDF5_USE_FILE_LOCKING=FALSE to read it without'
    )
