"""Files of ratings by clip and rater that may come from anyone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from abawfw.datasets.importers.gump_raters import convert_gump_raters
from abawfw.errors import DataError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / 'raters.h5', 'w') as file:
        file.attrs['raters'] = ['av1', 'ao1']
        for target in ('valence', 'arousal'):
            file[f'seg1/{target}'] = rng.uniform(-1, 1, (2, 4)).astype('f4')
    return tmp_path / 'raters.h5'


def replace(value: object, name: str = 'seg1/arousal') -> Callable[[h5py.File], object]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = value

    return change


def elsewhere(file: h5py.File) -> None:
    """The numbers are the bytes of another file."""
    del file['seg1/arousal']
    secret = Path(file.filename).parent / 'secret'
    secret.write_bytes(bytes(32))
    file.create_dataset('seg1/arousal', (2, 4), 'f4', external=[(os.fspath(secret), 0, 32)])


def from_nowhere(file: h5py.File) -> None:
    del file['seg1/arousal']
    layout = h5py.VirtualLayout((2, 4), 'f4')
    layout[:] = h5py.VirtualSource('gone.h5', 'x', (2, 4))
    file.create_virtual_dataset('seg1/arousal', layout)


def named(raters: object) -> Callable[[h5py.File], object]:
    return lambda file: file.attrs.__setitem__('raters', raters)


def test_observers_are_written_and_their_names_may_be_bytes(path: Path, tmp_path: Path) -> None:
    with h5py.File(path, 'r+') as file:
        file.attrs['raters'] = np.array([b'av1', b'ao1'])
        file['seg1/valence'][1] = np.nan  # of who did not see the film
        expected = np.stack([file['seg1'][target][0] for target in ('valence', 'arousal')], axis=1)
    assert convert_gump_raters([path], tmp_path / 'out') == (('seg1',), ('av1',), ('ao1',))
    (written,) = (tmp_path / 'out').iterdir()
    assert written.name == 'seg1.av1.1.csv'
    rows = np.genfromtxt(written, delimiter=',', skip_header=5)
    np.testing.assert_allclose(rows[:, 0], [0, 0.2, 0.4, 0.6])
    np.testing.assert_array_equal(rows[:, 1:].astype('f4'), expected)


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        (elsewhere, "arousal of 'seg1' has its values in another file"),
        (from_nowhere, r"'gone\.h5', which is not there"),
        (replace(np.full((2, 4), 500.0)), r'arousal of rater av1 is 500 at 0 s: outside \[-1, 1\]'),
        (replace(np.full((2, 4), np.nan)), 'arousal of rater av1 is nan at 0 s: no number'),
        (replace(np.zeros((2, 4, 3))), r'shapes \(2, 4\) and \(2, 4, 3\), expected'),
        (replace(np.zeros((2, 5))), r'shapes \(2, 4\) and \(2, 5\), expected'),
        (replace(np.zeros(3), 'seg1'), "'seg1' is no group|no array"),
        (replace('text'), 'holds no numbers'),
        (named(5), 'no names of raters in its attribute raters'),
        (named([1.0, 2.0]), 'no names of raters in its attribute raters'),
        (named(['av1', 'av1']), "two raters are called 'av1'"),
        (named(['av1']), '2 raters, but 1 names'),
        (named(['av1\n# rate: 9', 'ao1']), 'cannot be a name here'),
        (named(['av1\N{LINE SEPARATOR}# rate: 9', 'ao1']), 'cannot be a name here'),
        (named(['av/1', 'ao1']), 'cannot be a name here'),
        (named(['av.1', 'ao1']), "rater 'av.1': names of files have a dot"),
        (named(['ad1', 'ao1']), 'no observer of the film in it, only ad1, ao1'),
        (lambda file: file.move('seg1', 'seg\n1'), 'cannot be a name here'),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    path: Path, tmp_path: Path, change: Callable[[h5py.File], object], text: str
) -> None:
    with h5py.File(path, 'r+') as file:
        change(file)
    with pytest.raises(DataError, match=rf'raters\.h5.*({text})'):
        convert_gump_raters([path], tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'raters.h5')
    with pytest.raises(DataError, match=r'raters\.h5: is a pipe'):
        convert_gump_raters([tmp_path / 'raters.h5'], tmp_path / 'out')
