"""The two pickles of the reference's data sets, as plain values."""

from __future__ import annotations

import io
import math
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from abawfw.datasets.stores.checks import plain_name
from abawfw.datasets.stores.records import VideoInfo
from abawfw.errors import DataError
from abawfw.files import check_plain
from abawfw.inert_pickle import BASIC, Call, Name, Python2Text, RefusedPickleError, Walk, read_inert

INFO, STATISTICS = 'dataset_info.pkl', 'mean_std_info.pkl'
LISTS = ('trial', 'length', 'partition')
PARTITION_NAMES = {
    'train': 'train',
    'validate': 'val',
    'validation': 'val',
    'val': 'val',
    'extra': 'test',
    'test': 'test',
}
UNUSED = 'unused'


def read_dataset_info(root: Path) -> list[tuple[VideoInfo, Path]]:
    """Trials that dataset_info.pkl lists, in its order, with their folders; those 'unused' are omitted.

    ``data_folder`` says where the folders of the trials lie, once for all or trial by trial. It is taken
    below ``root``: of a path that leads elsewhere, as from the machine that wrote the file, the last part. A
    trial that is not there is looked for in ``root`` itself.
    Whether a trial has labels is not in the file: it is expected of train and val.

    Raises:
        DataError: the pickle is refused or damaged, a list is missing or of another length, a partition is
            unknown, or a name leads out of the folder.
    """
    path = root / INFO
    info = read_pickle(path)
    if not isinstance(info, Mapping):
        raise DataError(f'{path}: holds {type(info).__name__}, expected a dict of lists {", ".join(LISTS)}')
    if missing := [name for name in LISTS if name not in info]:
        there = ', '.join(map(str, list(info)[:20]))
        raise DataError(f'{path}: no list {", ".join(missing)}; there are {there}')
    columns = {name: _as_list(info[name], f'{path}: {name}') for name in LISTS}
    lengths = {name: len(column) for name, column in columns.items()}
    folder = info.get('data_folder', '')
    if not isinstance(folder, (str, bytes)):
        columns['data_folder'] = _as_list(folder, f'{path}: data_folder')
        lengths['data_folder'] = len(columns['data_folder'])
    else:
        columns['data_folder'] = [folder] * lengths['trial']
    if len(set(lengths.values())) > 1:
        raise DataError(f'{path}: the lists have {lengths} entries, and must have one per trial each')
    trials = []
    for row in zip(*columns.values(), strict=True):
        name = plain_name(_text(row[0], f'{path}: a trial'), path)
        length, partition = row[1], _text(row[2], f'{path}: the partition of trial {name!r}')
        folder = _text(row[3], f'{path}: the data_folder of trial {name!r}')
        if partition == UNUSED:
            continue
        if partition not in PARTITION_NAMES:
            raise DataError(
                f'{path}: trial {name!r} is in partition {partition!r}; '
                f'there are {", ".join(PARTITION_NAMES)} and {UNUSED}'
            )
        if isinstance(length, bool) or not isinstance(length, (int, np.integer)):
            shown = repr(length)[:40] if isinstance(length, (bool, float, str)) else type(length).__name__
            raise DataError(f'{path}: trial {name!r} has length {shown}, expected a whole number of frames')
        ours = PARTITION_NAMES[partition]
        video = VideoInfo(name, ours, int(length), None, has_labels=ours != 'test')
        trials.append((video, _folder(root, folder, name)))
    return trials


def read_scalar_statistics(root: Path) -> dict[int, dict[str, tuple[float, float]]] | None:
    """Mean and deviation of features over the training trials, by fold and feature; None if not stored.

    One number each for all dimensions of a feature. The file also has those of the other partitions, which
    are not used: they are normalised by those of train (docs/tagf.md, What differs, and why).

    Raises:
        DataError: the pickle is refused or damaged, or a value is no finite number.
    """
    path = root / STATISTICS
    if not path.is_file():
        return None
    content = read_pickle(path)
    try:
        statistics = {
            int(fold): {
                str(feature): (float(values['mean']), float(values['std']))
                for feature, values in partitions['train'].items()
            }
            for fold, partitions in content.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(
            f'{path}: expected {{fold: {{partition: {{feature: {{mean, std}}}}}}}} ({type(error).__name__}: '
            f'{error}); remove this file, and the statistics are computed from the arrays'
        ) from error
    for fold, features in statistics.items():
        for feature, values in features.items():
            if not np.isfinite(values).all() or values[1] < 0:
                raise DataError(
                    f'{path}: fold {fold}, feature {feature!r}: mean and deviation are {values}; remove this '
                    'file, and the statistics are computed from the arrays'
                )
    return statistics


def _text(value: Any, what: str) -> str:
    """A text, which Python 2 may have written as bytes."""
    if isinstance(value, bytes):
        try:
            return value.decode('utf-8')
        except UnicodeDecodeError:
            raise DataError(f'{what} is bytes that are no text; write it again as text') from None
    if not isinstance(value, str):
        raise DataError(f'{what} is {type(value).__name__}, expected text')
    return value


def _as_list(values: Any, what: str) -> list[Any]:
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if not isinstance(values, (list, tuple)):
        raise DataError(f'{what} is {type(values).__name__}, expected a list with one entry per trial')
    return list(values)


def _folder(root: Path, data_folder: str, trial: str) -> Path:
    """The folder of a trial: below root in any case, and an existing one where there is a choice."""
    # A path of Windows, of another machine, or one that climbs out: only its last part can be meant.
    parts = PureWindowsPath(data_folder).parts if '\\' in data_folder else PurePosixPath(data_folder).parts
    foreign = PurePosixPath(data_folder).is_absolute() or PureWindowsPath(data_folder).drive or '..' in parts
    parts = tuple(part for part in (parts[-1:] if foreign else parts) if part not in ('..', '/', '\\'))
    places = [root.joinpath(*parts, trial)]
    if parts and parts[-1] == trial:
        places.append(root.joinpath(*parts))  # the list names the folders of the trials themselves
    places.append(root / trial)  # the path was that of the data set, which may have another name by now
    return next((place for place in places if place.is_dir()), places[0])


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
