"""Files of ``torch.save``, read by code of our own.

torch's restricted loader looks at the names in a file only. What it may call, such as the makers of sparse,
nested and quantised tensors, trusts sizes and indices from the file; and a few bytes can stand for a tensor
of any size. Here the file is read into inert values, and a tensor is made from one of a short list of types,
sizes and strides that were compared with the storage, and bytes that are there.
"""

from __future__ import annotations

import math
import os
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import torch

from abawfw.files import check_plain
from abawfw.inert_pickle import BASIC, Call, Name, RefusedPickleError, Walk, read_inert

MAX_PICKLE = 64 << 20
"""Bytes of what a file holds besides numbers."""
MAX_STORAGES = 1_000_000
STORAGES = {
    'DoubleStorage': torch.float64,
    'FloatStorage': torch.float32,
    'HalfStorage': torch.float16,
    'BFloat16Storage': torch.bfloat16,
    'LongStorage': torch.int64,
    'IntStorage': torch.int32,
    'ShortStorage': torch.int16,
    'CharStorage': torch.int8,
    'ByteStorage': torch.uint8,
    'BoolStorage': torch.bool,
}
TENSOR, PARAMETER = Name('torch', 'Tensor'), Name('torch.nn.parameter', 'Parameter')
SIZE, DEVICE, COUNTER = Name('torch', 'Size'), Name('torch', 'device'), Name('collections', 'Counter')
DENSE = {Name('torch._utils', '_rebuild_tensor_v2'), Name('torch._utils', '_rebuild_tensor')}
REBUILT_PARAMETER = Name('torch._utils', '_rebuild_parameter')
REBUILT_TYPE = Name('torch._tensor', '_rebuild_from_type_v2')
DTYPES = {Name('torch', str(dtype).removeprefix('torch.')) for dtype in STORAGES.values()}
KNOWN = (
    BASIC
    | {TENSOR, PARAMETER, SIZE, DEVICE, COUNTER, REBUILT_PARAMETER, REBUILT_TYPE}
    | DENSE
    | DTYPES
    | {Name(module, name) for module in ('torch', 'torch.cuda') for name in STORAGES}
)
LEGACY_MAGIC, LEGACY_VERSION = 0x1950A86A20F9469CFC6C, 1001  # of the format before torch 1.6

Plain = Callable[[Any], Any]


@dataclass(eq=False)
class _Storage:
    """Numbers that tensors are views of; they are read when the first of these is made."""

    key: str
    dtype: torch.dtype
    count: int
    numbers: torch.Tensor | None = None


class _Storages:
    """The storages of a file by key, as its pickle declares them."""

    def __init__(self) -> None:
        self.by_key: dict[str, _Storage] = {}

    def declare(self, identity: Any) -> _Storage:
        """The storage of a persistent id: ('storage', type, key, device, number of elements)."""
        kind, storage_type, key, _, count, *view = identity
        if (
            kind != 'storage'
            or type(storage_type) is not Name
            or type(key) is not str
            or view not in ([], [None])
        ):
            raise ValueError('an unknown kind of storage')
        dtype = STORAGES.get(storage_type.name)
        if dtype is None:
            raise RefusedPickleError(f'{storage_type.module}.{storage_type.name}')
        storage = self.by_key.setdefault(key, _Storage(key, dtype, _whole(count)))
        if (storage.dtype, storage.count) != (dtype, count):
            raise ValueError(f'storage {key[:40]!r} is declared in two ways')
        if len(self.by_key) > MAX_STORAGES:
            raise ValueError(f'more than {MAX_STORAGES:,} tensors')
        return storage


def read_tensor_file(path: Path) -> Any:
    """Read what ``torch.save`` wrote: dense tensors on the CPU, and plain values; no code in it can run.

    Both formats of torch are read. Parameters become tensors, named types and devices text.

    Raises:
        DataError: it is no plain file.
        RefusedPickleError: it asks for anything else; the text says for what.
        Exception: it is damaged, or no such file; of any class.
    """
    check_plain(path)
    with path.open('rb') as file:
        if file.read(2) == b'PK':
            return _read_zip(file)
        file.seek(0)
        return _read_legacy(file)


def _read_zip(file: BinaryIO) -> Any:
    """The format since torch 1.6: an archive of a pickle and one file per storage, not compressed."""
    size = os.fstat(file.fileno()).st_size
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        pickles = [name for name in entries if name.endswith('/data.pkl') and name.count('/') == 1]
        if len(pickles) != 1:
            raise ValueError('an archive without the pickle of a file of tensors')
        place = pickles[0].removesuffix('data.pkl')
        left = size

        def entry(name: str) -> zipfile.ZipInfo:
            nonlocal left
            found = entries[f'{place}{name}']
            if found.compress_type != zipfile.ZIP_STORED or found.flag_bits & 1:
                raise ValueError(f'{found.filename} is compressed or encrypted, and torch.save does neither')
            left -= found.file_size
            if left < 0:  # entries may say that they lie in the same bytes
                raise ValueError('its parts are larger than the file')
            return found

        if f'{place}byteorder' in entries and archive.read(entry('byteorder')) != b'little':
            raise ValueError('its numbers have the byte order of another kind of machine')
        described = entry('data.pkl')
        if described.file_size > MAX_PICKLE:
            raise ValueError(f'it holds more than {MAX_PICKLE:,} bytes besides its numbers')
        storages = _Storages()
        inert = read_inert(BytesIO(archive.read(described)), KNOWN, storages.declare)

        def load(storage: _Storage) -> torch.Tensor:
            found = entry(f'data/{storage.key}')
            if found.file_size != storage.count * storage.dtype.itemsize:
                raise ValueError(
                    f'{found.filename} has {found.file_size:,} bytes, its tensor asks for '
                    f'{storage.count * storage.dtype.itemsize:,}'
                )
            with archive.open(found) as part:
                return _numbers(part, storage)

        return Walk(_maker(load)).plain(inert)


def _read_legacy(file: BinaryIO) -> Any:
    """The format before torch 1.6: five pickles in a row, then the storages."""
    size = os.fstat(file.fileno()).st_size
    head = BytesIO(
        file.read(MAX_PICKLE)
    )  # a pickle may ask for any number of bytes, of which here is the end
    magic, version = (Walk(_nothing).plain(read_inert(head, KNOWN)) for _ in range(2))
    if magic != LEGACY_MAGIC or version != LEGACY_VERSION:
        raise ValueError('it is no file of torch')
    system = Walk(_nothing).plain(read_inert(head, KNOWN))
    if not isinstance(system, dict) or system.get('little_endian') is not True:
        raise ValueError('its numbers have the byte order of another kind of machine')
    storages = _Storages()
    inert = read_inert(head, KNOWN, storages.declare)
    keys = Walk(_nothing).plain(read_inert(head, KNOWN))
    if not isinstance(keys, list) or set(keys) != storages.by_key.keys():
        raise ValueError('it lists other storages than its tensors have')
    file.seek(head.tell())
    for key in keys:
        storage = storages.by_key[key]
        (count,) = struct.unpack('<q', file.read(8))
        if count != storage.count or count * storage.dtype.itemsize > size - file.tell():
            raise ValueError(f'it is too short for {storage.count:,} numbers of a tensor')
        storage.numbers = _numbers(file, storage)
    return Walk(_maker(_nothing)).plain(inert)


def _nothing(*_: Any) -> Any:
    raise ValueError('a tensor where none belongs')


def _numbers(file: Any, storage: _Storage) -> torch.Tensor:
    """The numbers of a storage; that the file has them is known."""
    raw = torch.empty(storage.count * storage.dtype.itemsize, dtype=torch.uint8)
    view = raw.numpy().data
    while len(view):
        count = file.readinto(view)
        if not count:
            raise ValueError('it ends within the numbers of a tensor')
        view = view[count:]
    if storage.dtype == torch.bool and (raw > 1).any():
        raise ValueError('it holds truth values that are neither')
    if not storage.count:
        return torch.empty(0, dtype=storage.dtype)
    return raw.view(storage.dtype)


def _maker(load: Callable[[_Storage], torch.Tensor]) -> Callable[[Any, Plain], Any]:
    """What makes the tensors, and the few other values, that a file of torch names."""

    def make(record: Any, plain: Plain) -> Any:
        if type(record) is Name and record in DTYPES:
            return f'{record.module}.{record.name}'
        if type(record) is not Call:
            raise RefusedPickleError('a storage or function itself')
        function, arguments = record.function, record.arguments
        if function in DENSE:
            storage, offset, size, stride = arguments[:4]
            if type(storage) is not _Storage:
                raise ValueError('a tensor without a storage')
            if storage.numbers is None:
                storage.numbers = load(storage)
            return _view(storage.numbers, plain(offset), plain(size), plain(stride))
        if function == REBUILT_PARAMETER:
            return plain(arguments[0])
        if function == REBUILT_TYPE and arguments[1] in (TENSOR, PARAMETER) and type(arguments[2]) is tuple:
            return plain(Call(arguments[0], arguments[2]))  # a tensor with attributes, which are omitted
        if function == SIZE:
            return tuple(plain(arguments[0]))
        if function == DEVICE:
            return ':'.join(str(part) for part in plain(arguments))
        if function == COUNTER:
            return dict(plain(arguments[0])) if arguments else {}
        raise RefusedPickleError(f'a value of {function.module}.{function.name}')

    return make


def _view(numbers: torch.Tensor, offset: Any, size: Any, stride: Any) -> torch.Tensor:
    """A tensor of part of a storage."""
    if type(size) is not tuple or type(stride) is not tuple or len(size) != len(stride) or len(size) > 64:
        raise ValueError('a tensor without a shape')
    _whole(offset)
    sizes, strides = [_whole(n) for n in size], [_whole(n) for n in stride]
    count = math.prod(sizes)
    last = offset + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True)) if count else offset
    if count > len(numbers) or (count and last >= len(numbers)):
        raise ValueError(f'a tensor of shape {tuple(sizes)} in {len(numbers)} numbers')
    if math.prod(max(n, 1) for n in sizes) >= 1 << 60:  # what has no numbers has a shape all the same
        raise ValueError('a tensor of an impossible shape')
    return numbers.as_strided(sizes, strides, offset) if count else numbers.new_empty(sizes)


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 60:
        raise ValueError('a size that is no whole number, or below 0')
    return value
