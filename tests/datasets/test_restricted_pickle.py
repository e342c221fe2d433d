from __future__ import annotations

import os
import pickle
import re
import subprocess
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_trials import write_trials

from abawfw.datasets.stores import TrialStore, open_store
from abawfw.datasets.stores.trials.pickles import read_pickle
from abawfw.errors import DataError

PLAIN = {
    'list': [1, 2.5, None, True, 'text', b'bytes', (1, 'a'), {3, 4}],
    'numbers': OrderedDict(a=np.float64(0.1), b=np.int64(7), c=np.bool_(True), d=2 + 1j),
    'arrays': [np.arange(6).reshape(2, 3), np.asfortranarray(np.ones((2, 3), np.float16)), np.zeros(0)],
    'names': np.array(['a', 'bc'], dtype=object),
    'text': np.array(['a', 'bc']),
}


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_are_read_whatever_the_protocol(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / 'x.pkl'
    path.write_bytes(pickle.dumps(PLAIN, protocol))
    found = read_pickle(path)
    assert found['list'] == PLAIN['list']
    assert found['numbers'] == PLAIN['numbers']
    assert list(found['numbers']) == list('abcd')
    for name in ('names', 'text'):
        np.testing.assert_array_equal(found[name], PLAIN[name])
    for values, expected in zip(found['arrays'], PLAIN['arrays'], strict=True):
        np.testing.assert_array_equal(values, expected)
        assert values.dtype == expected.dtype


def test_pickles_of_numpy_1_are_read(tmp_path: Path) -> None:
    path = tmp_path / 'x.pkl'
    content = pickle.dumps({'mean': np.float64(0.25), 'lengths': np.arange(3)}, 2)
    old = content.replace(b'numpy._core.multiarray', b'numpy.core.multiarray')
    assert old != content
    path.write_bytes(old)
    found = read_pickle(path)  # warnings are errors: the old package is not imported
    assert found['mean'] == 0.25
    assert found['lengths'].tolist() == [0, 1, 2]


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable, tuple]:
        return self.function, self.arguments


def attacks(victim: Path) -> dict[str, Any]:
    return {
        r'posix\.system': Calls(os.system, f'touch {victim}'),
        r'builtins\.eval': Calls(eval, f"open({str(victim)!r}, 'w')"),
        r'builtins\.getattr': Calls(getattr, 'text', 'upper'),
        r'subprocess\.Popen': Calls(subprocess.Popen, ['touch', str(victim)]),
        r'numpy\.fromfile|numpy\.\w*multiarray\.fromfile': Calls(np.fromfile, __file__),
        r'pathlib\.\w+': Path('somewhere'),
    }


@pytest.mark.parametrize('which', range(6))
@pytest.mark.parametrize('protocol', [0, 2, 4])
def test_a_pickle_that_carries_code_is_refused_and_the_code_named(
    tmp_path: Path, which: int, protocol: int
) -> None:
    path, victim = tmp_path / 'dataset_info.pkl', tmp_path / 'victim'
    name, attack = list(attacks(victim).items())[which]
    path.write_bytes(pickle.dumps({'trial': ['a', attack]}, protocol, fix_imports=False))
    if which == 0:  # the test is worth something: an ordinary reader runs it
        pickle.loads(path.read_bytes())
        assert victim.exists()
        victim.unlink()
    with pytest.raises(DataError, match=rf'dataset_info\.pkl: refused: it asks for ({name})'):
        read_pickle(path)
    assert not victim.exists()


def test_code_in_the_pickles_of_a_data_set_never_runs(tmp_path: Path) -> None:
    root = write_trials(tmp_path / 'data')
    victim = tmp_path / 'victim'
    attack = pickle.dumps({0: Calls(os.system, f'touch {victim}')})
    (root / 'mean_std_info.pkl').write_bytes(attack)
    store = TrialStore(root)
    with pytest.raises(DataError, match=r'mean_std_info\.pkl: refused'):
        store.scalar_moments('bert', ['a', 'b'])
    (root / 'dataset_info.pkl').write_bytes(attack)
    with pytest.raises(DataError, match=r'dataset_info\.pkl: refused'):
        open_store(root)
    assert not victim.exists()


@pytest.mark.parametrize(
    'content',
    [b'', b'not a pickle', b'\x80\x04]', b'\x80\x63.', b'(lp0\nI1\n', b'c_codecs\nencode\n(Va\nVzlib\ntR.'],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'x.pkl'
    path.write_bytes(content)
    with pytest.raises(DataError, match=r'x\.pkl: damaged, or no pickle'):
        read_pickle(path)
    with pytest.raises(DataError, match=r'none\.pkl: cannot be read'):
        read_pickle(tmp_path / 'none.pkl')


class Reduced:
    """Pickles as a call of a function and a state for its result."""

    def __init__(self, function: Callable, arguments: tuple, state: Any) -> None:
        self.reduced = function, arguments, state

    def __reduce__(self) -> tuple:
        return self.reduced


def forged_type(name: str = 'O8', flags: int = 0, fields: Any = None) -> Reduced:
    """Raw bytes declared as Python objects, with the flags cleared that would protect them."""
    names = None if fields is None else tuple(fields)
    return Reduced(np.dtype, (name, False, True), (3, '|', None, names, fields, 8, 1, flags))


def forged_array(dtype: Any, data: Any = b'A' * 16, shape: Any = (2,)) -> Reduced:
    empty = np.zeros(0).__reduce__()[0]
    return Reduced(empty, (np.ndarray, (0,), b'b'), (1, shape, dtype, False, data))


FORGED = {
    'objects of bytes': forged_array(forged_type()),
    'objects that do not say so': forged_array(forged_type('O8', 63)),
    'records': forged_array(forged_type('V8', 27, {'a': (np.dtype('O'), 0)})),
    'void': forged_array(forged_type('V8')),
    'numbers with fields': forged_array(forged_type('f8', 0, {'a': (np.dtype('O'), 0)})),
    'times': forged_array(forged_type('M8')),
    'complex': forged_array(forged_type('c16')),
    'too few bytes': forged_array(np.dtype('f8'), b'A' * 15),
    'too many bytes': forged_array(np.dtype('f8'), b'A' * 24),
    'a negative size': forged_array(np.dtype('f8'), b'', (-1,)),
    'truth for a size': forged_array(np.dtype('f8'), b'A' * 8, (True,)),
    'an impossible size': forged_array(np.dtype('f8'), b'', (0, 1 << 40)),
    'truth values that are neither': forged_array(np.dtype('?'), b'AA'),
    'text that is none': forged_array(np.dtype('U1'), b'A' * 8),
    'an array of arrays': forged_array(np.dtype('O'), [forged_array(forged_type()), 1]),
    'a number of bytes': Reduced(np.float64(1).__reduce__()[0], (forged_type(), b'A' * 8), None),
}


@pytest.mark.parametrize('case', FORGED)
@pytest.mark.parametrize('protocol', [0, 2, 5])
def test_forged_arrays_are_refused_before_numpy_sees_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, protocol: int
) -> None:
    path = tmp_path / 'dataset_info.pkl'
    path.write_bytes(pickle.dumps({'trial': FORGED[case]}, protocol))
    asked = []
    real = np.dtype

    def dtype(name: Any) -> Any:
        asked.append(name)
        return real(name)

    monkeypatch.setattr('abawfw.datasets.stores.trials.pickles.np.dtype', dtype)
    with pytest.raises(DataError, match=r'dataset_info\.pkl: (refused|damaged)'):
        read_pickle(path)
    # of whatever the file says of a type, numpy gets a name of the short list and a byte order
    assert all(re.fullmatch('[<>|=]?([biuf][1248]|U[0-9]+)', name) for name in asked), asked


def test_the_forged_type_would_have_been_taken() -> None:
    """The tests above are worth something: numpy takes over the state, and would follow any bytes."""
    dtype = np.dtype('O8').newbyteorder()
    dtype.__setstate__(forged_type().reduced[2])
    assert dtype.hasobject is False


def test_arrays_in_any_order_of_axes(tmp_path: Path) -> None:
    values = {
        'turned': np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
        'columns': np.asfortranarray(np.arange(6).reshape(2, 3)),
        'big': np.arange(3, dtype='>i4'),
        'scalar': np.array(3.5),
        'bytes': np.array([b'a', b'bc']),
        'none': np.zeros((0, 3), np.float32),
        'truth': np.array([True, False]),
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path = tmp_path / 'x.pkl'
        path.write_bytes(pickle.dumps(values, protocol))
        for name, found in read_pickle(path).items():
            np.testing.assert_array_equal(found, values[name])
            assert (found.dtype, found.shape) == (values[name].dtype, values[name].shape)


# What Python 2 and numpy 1 wrote for {'a': numpy.array([1.5, -2.25]), 'n': 'caf\xc3\xa9'}.
OLD_ARRAY = (
    b'\x80\x02}(U\x01acnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R'
    b'(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff'
    b'\xff\xffK\x00tb\x89U\x10' + np.array([1.5, -2.25], '<f8').tobytes() + b'tbU\x01nU\x05caf\xc3\xa9u.'
)
OLD_TEXT = (
    b"(dp0\nS'a'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\n"
    b"tp6\nRp7\n(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'f8'\nI0\nI1\ntRp10\n(I3\nS'<'\nNNNI-1\nI-1\nI0\n"
    b"tbI00\nS'\\x00\\x00\\x00\\x00\\x00\\x00\\xf8?\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\xc0'\n"
    b"tbsS'n'\nS'caf\\xc3\\xa9'\ns."
)


@pytest.mark.parametrize('content', [OLD_ARRAY, OLD_TEXT])
def test_pickles_of_python_2_are_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'x.pkl').write_bytes(content)
    found = read_pickle(tmp_path / 'x.pkl')
    assert found['a'].tolist() == [1.5, -2.25]
    assert found['n'] == 'caf\u00e9'


TUPLES = b')' + b'2\x86' * 40
HOSTILE = {
    'tuples of tuples': (TUPLES + b'.', '20,000 values'),
    'tuples too deep': (b')' + b'\x85' * 100 + b'.', '50 containers within one another'),
    'lists too deep': (b'(' * 9000 + b'l' * 9000 + b'.', 'containers within one another'),
    'a list within itself': (b']q\x00h\x00a.', 'containers within one another'),
    'tuples as a key': (b'}' + TUPLES + b'K\x01s.', '20,000 values'),
    'tuples in a set': (b'\x8f(' + TUPLES + b'\x90.', '20,000 values'),
    'tuples as a name': (TUPLES + b'\x8c\x01a\x93.', 'a name that is no text'),
    'tuples as an encoding': (b'c_codecs\nencode\n(\x8c\x01a' + TUPLES + b'tR.', 'in an encoding'),
    'steps without end': (b'N0' * 20_000 + b'.', '20,000 steps'),
    'a long whole number': (b'\x8b\xff\xff\xff\x7f.', 'ValueError'),
    'a whole number of many bits': (b'\x8a\x20' + b'\x01' * 32 + b'.', '128 bits'),
    'a key of many bits': (b'}\x8a\x09' + b'\x01' * 9 + b'Ns.', '60 bits as a key'),
    'more bytes than there are': (b'\x8e\xff\xff\xff\xff\xff\xff\xff\x3f.', 'ValueError'),
    'a long frame': (b'\x95\xff\xff\xff\xff\xff\xff\xff\x7f' + b'X\xff\xff\xff\xff.', 'ValueError'),
    'a name with a NUL': (b'\x8c\x03a\x00b.', 'a NUL'),
    'half a surrogate pair': (b'\x8c\x03\xed\xa0\x80.', 'half a surrogate pair'),
    'half a pair as an escape': (b'V\\ud800\n.', 'half a surrogate pair'),
    'an instance': (b'(\x8c\x04trueiposix\nsystem\n.', 'refused: it asks for the step INST'),
    'an object': (b'(cbuiltins\nset\no.', 'refused: it asks for the step OBJ'),
    'a new object': (b'cbuiltins\nset\n)\x81.', 'refused: it asks for the step NEWOBJ'),
    'an extension': (b'\x82\x01.', 'refused: it asks for the step EXT1'),
    'a persistent id': (b'Nq\x00Q.', 'refused: it asks for something outside'),
    'a named id': (b'Pa\n.', 'refused: it asks for the step PERSID'),
    'a buffer': (b'\x97.', 'refused: it asks for the step NEXT_BUFFER'),
    'a state for a list': (b']}b.', 'a state for list'),
    'a call of a value': (b'\x8c\x01a)R.', 'a call of str'),
    'a name as a value': (b'cnumpy\ndtype\n.', r'refused: it asks for numpy\.dtype itself'),
    'bytes of many': (b'cbuiltins\nbytes\nJ\xff\xff\xff\x7f\x85R.', 'bytes of int'),
}


@pytest.mark.parametrize('case', HOSTILE)
def test_hostile_pickles_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr('abawfw.inert_pickle.MAX_STEPS', 20_000)
    path = tmp_path / 'x.pkl'
    content, message = HOSTILE[case]
    path.write_bytes(b'\x80\x04' + content)
    with pytest.raises(DataError, match=rf'^.*x\.pkl: .*{message}.*$') as caught:
        read_pickle(path)
    assert len(str(caught.value)) < 400


def test_a_memo_of_any_index_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / 'x.pkl'
    path.write_bytes(b'\x80\x04\x8c\x01ar\xff\xff\xff\x7f0j\xff\xff\xff\x7f.')
    assert read_pickle(path) == 'a'


def test_an_array_that_is_named_often_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / 'x.pkl'
    path.write_bytes(pickle.dumps([np.zeros(1000)] * 5000))
    found = read_pickle(path)
    assert all(array is found[0] for array in found)


def test_what_is_too_large_or_no_file_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / 'x.pkl'
    path.touch()
    os.truncate(path, 6 << 30)
    with pytest.raises(DataError, match=r'x\.pkl: 6,442,450,944 bytes; pickles of up to 67,108,864 are read'):
        read_pickle(path)
    os.mkfifo(tmp_path / 'pipe.pkl')
    with pytest.raises(DataError, match=r'pipe\.pkl: is a pipe, a plain file is expected'):
        read_pickle(tmp_path / 'pipe.pkl')
