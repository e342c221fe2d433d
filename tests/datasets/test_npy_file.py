"""Headers of .npy files, whoever wrote them."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from small_trials import write_trials

from abawfw.datasets.stores import TrialStore
from abawfw.datasets.stores.npy_file import read_array, read_arrays, read_header
from abawfw.datasets.stores.packed.store import PackedArray
from abawfw.datasets.stores.trials.files import TrialArray
from abawfw.errors import DataError


def npy(header: str, numbers: bytes = b'', version: tuple[int, int] = (1, 0)) -> bytes:
    text = header.encode('latin1')
    length = struct.pack('<H' if version == (1, 0) else '<I', len(text))
    return b'\x93NUMPY' + bytes(version) + length + text + numbers


def described(descr: str = "'<f4'", order: str = 'False', shape: str = '(2, 3)') -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize('dtype', ['<f4', '>f4', '<f8', '<f2', '|u1', '|b1', '<i8'])
@pytest.mark.parametrize('columns_first', [False, True])
@pytest.mark.parametrize('version', [(1, 0), (2, 0), (3, 0)])
def test_what_numpy_writes_is_read(
    tmp_path: Path, dtype: str, columns_first: bool, version: tuple[int, int]
) -> None:
    values = (np.arange(6).reshape(2, 3) % 2).astype(dtype, order='F' if columns_first else 'C')
    with (tmp_path / 'x.npy').open('wb') as file:
        np.lib.format.write_array(file, values, version)
    header = read_header(tmp_path / 'x.npy')
    assert header[:3] == (values.shape, columns_first, np.dtype(dtype))
    found = read_array(tmp_path / 'x.npy')
    np.testing.assert_array_equal(found, values)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(TrialArray(tmp_path / 'x.npy').read(1, 2), values[1:])


def test_headers_of_python_2_and_of_other_writers(tmp_path: Path) -> None:
    numbers = np.arange(6, dtype='<f4').tobytes()
    for header in (described(shape='(2L, 3L)'), "{'shape':(2,3),'descr':\"<f4\",'fortran_order':False}"):
        (tmp_path / 'x.npy').write_bytes(npy(header, numbers))
        assert read_array(tmp_path / 'x.npy').tolist() == [[0, 1, 2], [3, 4, 5]]


WRONG = {
    'an archive': (b'PK\x03\x04' + bytes(100), r'it is no \.npy file'),
    'nothing': (b'', r'it is no \.npy file'),
    'the beginning alone': (b'\x93NUMPY\x01', r'it is no \.npy file'),
    'an unknown version': (npy(described(), version=(9, 0)), 'unknown version 9.0'),
    'half a header': (npy(described())[:20], 'it ends within its header'),
    'a long header': (npy(described() + ' ' * 20_000), 'its header has 20,0[0-9]+ bytes, at most 10,000'),
    'a length without a header': (b'\x93NUMPY\x02\x00\xff\xff\xff\xff', 'its header has 4,294,967,295 bytes'),
    'too many numbers': (npy(described(shape='(3000000000000, 4)')), 'its header asks for 48,000,000,000,0'),
    'numbers beyond any': (npy(described(shape=f'({2**62}, {2**62})')), 'its header has the shape'),
    'none of many': (npy(described(shape=f'(0, {2**61})')), 'its header has the shape'),
    'truth for sizes': (npy(described(shape='(True, 6)'), bytes(24)), r'the shape \(True, 6\)'),
    'sizes below 0': (npy(described(shape='(-1, 6)')), r'the shape \(-1, 6\)'),
    'half a size': (npy(described(shape='(1.5, 6)')), r'the shape \(1.5, 6\)'),
    'a list of sizes': (npy(described(shape='[2, 3]'), bytes(24)), r'the shape \[2, 3\]'),
    'no order': (npy(described(order='1'), bytes(24)), 'the order of its numbers'),
    'records': (npy(described("[('a', '<f4')]"), bytes(24)), 'it holds records'),
    'records as text': (npy(described("'f4,O'"), bytes(24)), 'it holds records'),
    'an unknown type': (npy(described("'<k4'"), bytes(24)), "the unknown type '<k4'"),
    'a key too many': (
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), 'more': 1}"),
        'does not say',
    ),
    'code': (npy("__import__('os').getpid()"), 'does not say type, order and shape'),
    'nested brackets': (npy('(' * 9000), 'does not say type, order and shape'),
    'signs': (npy('-' * 9000 + '1'), 'does not say type, order and shape'),
    'sums': (npy('1' + '+1j' * 3000), 'does not say type, order and shape'),
    'more than there is': (npy(described(), bytes(23)), r'[0-9]+ bytes, its header asks for [0-9]+'),
}


@pytest.mark.parametrize('case', WRONG)
def test_one_line_says_what_is_wrong(tmp_path: Path, case: str) -> None:
    path = tmp_path / 'x.npy'
    content, message = WRONG[case]
    path.write_bytes(content)
    for read in (read_array, TrialArray, lambda p: PackedArray(p, (2, 3), 'float32')):
        with pytest.raises(DataError, match=rf'^.*x\.npy: .*{message}.*$'):
            read(path)


def test_pipes_and_folders_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe.npy')
    (tmp_path / 'folder.npy').mkdir()
    for read in (read_array, TrialArray, lambda p: PackedArray(p, (2, 3), 'float32')):
        for name, kind in (('pipe', 'a pipe'), ('folder', 'a folder')):
            with pytest.raises(DataError, match=rf'{name}\.npy: is {kind}, a plain file is expected'):
                read(tmp_path / f'{name}.npy')


def test_a_pipe_among_the_arrays_of_a_trial(tmp_path: Path) -> None:
    root = write_trials(tmp_path / 'data')
    path = root / 'compacted_48/a/bert.npy'
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match=r'a/bert\.npy: is a pipe'):
        TrialStore(root).feature('bert')


def test_truth_values_that_are_neither_are_not_counted(tmp_path: Path) -> None:
    path = tmp_path / 'x.npy'
    path.write_bytes(npy(described("'|b1'", shape='(3,)'), b'\x01\x07\x00'))
    for read in (
        read_array,
        lambda p: TrialArray(p).read(0, 3),
        lambda p: PackedArray(p, (3,), 'bool').read(0, 3),
    ):
        with pytest.raises(DataError, match=r'x\.npy: .*holds bytes that are neither true nor false'):
            read(path)


def test_arrays_of_an_archive(tmp_path: Path) -> None:
    path = tmp_path / 'x.npz'
    np.savez(path, found=np.array([True, False]), boxes=np.ones((2, 4)))
    assert read_arrays(path, ('boxes',))['boxes'].shape == (2, 4)
    with pytest.raises(DataError, match=r"x\.npz: damaged .*'more\.npy'"):
        read_arrays(path, ('more',))
    np.savez_compressed(path, found=np.zeros(10_000_000, bool))  # 10 kB that become 10 MB
    with pytest.raises(DataError, match=r'x\.npz: damaged \(found\.npy is compressed\)'):
        read_arrays(path, ('found',))
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('found.npy', npy(described("'|O'", shape='(1,)'), b'cposix\nsystem\n'))
    with pytest.raises(DataError, match='holds object'):
        read_arrays(path, ('found',))
