from __future__ import annotations

import os
import pickle
import subprocess
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_trials import write_trials

from abawfw.datasets.stores import TrialStore, open_store
from abawfw.datasets.stores.restricted_pickle import read_pickle
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
