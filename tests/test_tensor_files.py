"""Files of torch, made into tensors by code of our own."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from abawfw.errors import DataError
from abawfw.inert_pickle import RefusedPickleError
from abawfw.tensor_files import STORAGES, read_tensor_file

DTYPES = list(STORAGES.values())


def same(found: Any, expected: Any) -> bool:
    """Whether two nests hold the same; tensors of the same type and shape."""
    if isinstance(expected, torch.Tensor):
        assert isinstance(found, torch.Tensor)
        return found.dtype == expected.dtype and torch.equal(found, expected) and not found.requires_grad
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(same(found[k], v) for k, v in expected.items())
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == expected


@pytest.mark.parametrize('archive', [True, False])
def test_what_torch_saves_is_read(tmp_path: Path, archive: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    named = model.weight if hasattr(model, 'weight') else model[0].weight
    shared = torch.arange(12.0).reshape(3, 4)
    content = {
        'weights': model.state_dict(),
        'parameter': named,
        'types': [torch.arange(5).to(dtype) for dtype in DTYPES],
        'views': [shared, shared.t(), shared[1:, ::2], shared[0, 0]],
        'nothing': [torch.zeros(0), torch.zeros(2, 0, 3)],
        'values': (1, 2.5, None, True, 'text', 1 << 60, OrderedDict(a=1), torch.Size([2, 3])),
    }
    path = tmp_path / 'x.pth'
    torch.save(content, path, _use_new_zipfile_serialization=archive)
    assert same(read_tensor_file(path), content)


def test_other_values_of_training_scripts(tmp_path: Path) -> None:
    torch.save(
        {'m': Counter([3, 3, 5]), 'd': torch.device('cuda', 1), 't': torch.float32}, tmp_path / 'x.pth'
    )
    found = read_tensor_file(tmp_path / 'x.pth')
    assert found == {'m': {3: 2, 5: 1}, 'd': 'cuda:1', 't': 'torch.float32'}


def test_golden_weights_are_those_that_torch_reads(golden: Path) -> None:
    paths = sorted((golden / 'weights_mini').rglob('*.pth'))
    assert paths
    for path in paths:
        assert same(read_tensor_file(path), torch.load(path, weights_only=True))


SPECIAL = {
    'sparse': lambda: torch.eye(3).to_sparse(),
    'compressed': lambda: torch.eye(3).to_sparse_csr(),
    'nested': lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
    'quantised': lambda: torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8),
    'without numbers': lambda: torch.zeros(1 << 40, device='meta'),
    'complex': lambda: torch.zeros(3, dtype=torch.complex64),
    'an unusual type': lambda: torch.zeros(3, dtype=torch.uint16),
}


@pytest.mark.parametrize('case', SPECIAL)
@pytest.mark.filterwarnings('ignore')
def test_special_tensors_are_refused_by_name(tmp_path: Path, case: str) -> None:
    torch.save({'w': SPECIAL[case]()}, tmp_path / 'x.pth')
    with pytest.raises(RefusedPickleError, match=r'torch\.'):
        read_tensor_file(tmp_path / 'x.pth')


def rebuilt(*arguments: Any) -> Any:
    """Pickles as a call of torch's that makes a tensor."""

    class Rebuilt:
        def __reduce__(self) -> tuple[Callable, tuple]:
            return torch._utils._rebuild_tensor_v2, arguments

    return Rebuilt()


class Stored:
    """Stands for a storage in what is forged."""

    def __init__(self, key: str, count: int) -> None:
        self.key, self.count = key, count


def forge(path: Path, content: Any, data: bytes = bytes(16), **how: Any) -> Path:
    """An archive whose only storage, of 4 floats, is described in another way."""

    class Forger(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            if isinstance(value, Stored):
                return ('storage', torch.FloatStorage, value.key, 'cpu', value.count)
            return None

    pickled = io.BytesIO()
    Forger(pickled, 2).dump(content)
    with zipfile.ZipFile(path, 'w', **how) as archive:
        archive.writestr('archive/data.pkl', pickled.getvalue())
        archive.writestr('archive/data/0', data)
    return path


def tensor(key: str, count: int, *view: Any) -> dict[str, Any]:
    return {'w': rebuilt(Stored(key, count), *view, False, OrderedDict())}


@pytest.mark.parametrize(
    ('key', 'count', 'view', 'message'),
    [
        ('0', 4, (0, (1 << 40,), (0,)), r'shape \(1099511627776,\) in 4 numbers'),  # by a step of 0
        ('0', 4, (0, (2, 3), (1, 1)), r'shape \(2, 3\) in 4 numbers'),
        ('0', 4, (0, (5,), (1,)), r'shape \(5,\) in 4 numbers'),
        ('0', 4, (3, (2,), (1,)), r'shape \(2,\) in 4 numbers'),
        ('0', 4, (0, (2,), (1 << 50,)), r'shape \(2,\) in 4 numbers'),
        ('0', 4, (-1, (2,), (1,)), 'a size that is no whole number, or below 0'),
        ('0', 4, (0, (-2,), (1,)), 'a size that is no whole number, or below 0'),
        ('0', 4, (0, (2,), (-1,)), 'a size that is no whole number, or below 0'),
        ('0', 4, (0, (True,), (1,)), 'a size that is no whole number, or below 0'),
        ('0', 4, (0, (2, 2), (1,)), 'a tensor without a shape'),
        ('0', 4, (0, (0, 1 << 59, 1 << 59), (1, 1, 1)), 'a tensor of an impossible shape'),
        ('0', 5, (0, (5,), (1,)), 'data/0 has 16 bytes, its tensor asks for 20'),
        ('0', 1 << 50, (0, (4,), (1,)), 'data/0 has 16 bytes, its tensor asks for 4,503,599,627,370,496'),
        ('../../passwd', 4, (0, (4,), (1,)), 'data/../../passwd'),
    ],
)
def test_forged_tensors_are_refused_before_memory_is_taken(
    tmp_path: Path, key: str, count: int, view: tuple, message: str
) -> None:
    path = forge(tmp_path / 'x.pth', tensor(key, count, *view))
    with pytest.raises((ValueError, KeyError), match=message):
        read_tensor_file(path)


def test_the_forger_itself(tmp_path: Path) -> None:
    data = torch.arange(4.0).numpy().tobytes()
    path = forge(tmp_path / 'x.pth', tensor('0', 4, 0, (2, 2), (1, 2)), data)
    assert read_tensor_file(path)['w'].tolist() == [[0, 2], [1, 3]]


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    zeros = tensor('0', 1 << 24, 0, (4,), (1,))
    path = forge(tmp_path / 'x.pth', zeros, bytes(1 << 26), compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 17
    with pytest.raises(ValueError, match='is compressed or encrypted'):
        read_tensor_file(path)


def test_parts_that_lie_in_the_same_bytes_are_counted(tmp_path: Path) -> None:
    views = [rebuilt(Stored(str(n), 25_000), 0, (1,), (1,), False, OrderedDict()) for n in range(20)]
    path = forge(tmp_path / 'x.pth', views, bytes(100_000))
    with zipfile.ZipFile(path, 'a') as archive:
        first = archive.getinfo('archive/data/0')
        for number in range(1, 20):
            other = zipfile.ZipInfo(f'archive/data/{number}')
            other.header_offset, other.CRC = first.header_offset, first.CRC
            other.file_size = other.compress_size = first.file_size
            archive.filelist.append(other)
            archive._didModify = True  # so that the list of parts is written anew
    with pytest.raises((ValueError, zipfile.BadZipFile), match=r'larger than the file|differ|Overlapped'):
        read_tensor_file(path)


def test_the_old_format_is_bounded_too(tmp_path: Path) -> None:
    path = tmp_path / 'x.pth'
    torch.save({'w': torch.arange(1000.0)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    for end in (len(content) - 1, len(content) - 4000, 300, 100, 10, 0):
        path.write_bytes(content[:end])
        with pytest.raises((ValueError, struct.error)):
            read_tensor_file(path)
    path.write_bytes(b'\x80\x02\x8e' + b'\xff' * 7 + b'\x3f' + b'.')  # bytes without end
    with pytest.raises(ValueError, match='expected 4611686018427387903 bytes'):
        read_tensor_file(path)


def test_pipes_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'x.pth')
    with pytest.raises(DataError, match=r'x\.pth: is a pipe'):
        read_tensor_file(tmp_path / 'x.pth')
