"""HDF5 files from anywhere: what they may hold, and what is refused by its name before it is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t
from small_rucaim3 import edit, write_rucaim3

from abawfw.datasets.stores import RUCAIM3Store
from abawfw.datasets.stores.packed.pack import pack_store
from abawfw.datasets.stores.rucaim3.hdf5_reader import MAX_CHUNK, MAX_NUMBERS, MAX_ROWS, HDF5Reader
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer
from abawfw.errors import DataError

FEATURES = 'features/train_face_pose'
TARGETS = 'targets/train_valid_targets'
Change = Callable[[h5py.File], object]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_rucaim3(tmp_path / 'data', {'train': {'a': 7, 'b': 5}, 'val': {'c': 4}, 'test': {'d': 6}})


def read(root: Path) -> np.ndarray:
    return RUCAIM3Store(root).read('a', 'face_pose', 0, 7)


def put(value: object) -> Change:
    """The features of video a are something else."""

    def change(file: h5py.File) -> None:
        del file['a/fts']
        file['a/fts'] = value

    return change


def create(**options: object) -> Change:
    def change(file: h5py.File) -> None:
        del file['a/fts']
        file.create_dataset('a/fts', **options)

    return change


def virtual(*sources: tuple[str, str, tuple[int, int]], shape: tuple[int, int] = (7, 3)) -> Change:
    """The features of video a are put together, one source after another, from (file, array, shape)."""

    def change(file: h5py.File) -> None:
        del file['a/fts']
        layout, start = h5py.VirtualLayout(shape, 'f4'), 0
        for name, array, rows in sources:
            layout[start : start + rows[0]] = h5py.VirtualSource(name, array, rows)
            start += rows[0]
        file.create_virtual_dataset('a/fts', layout)

    return change


def endless(name: str) -> Change:
    """The features of video a are put together from files of any number."""

    def change(file: h5py.File) -> None:
        del file['a/fts']
        space = h5s.create_simple((7, 3), (h5s.UNLIMITED, 3))
        into, out_of = space.copy(), h5s.create_simple((7, 3))
        into.select_hyperslab((0, 0), (h5s.UNLIMITED, 1), (7, 3), (7, 3))
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_virtual(into, name.encode(), b'x', out_of)
        h5d.create(file.id, b'a/fts', h5t.IEEE_F32LE, space, plist)

    return change


def write_array(path: Path, name: str = 'x', rows: int = 7) -> np.ndarray:
    values = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    with h5py.File(path, 'a') as file:
        file[name] = values
    return values


# What leads elsewhere


@pytest.mark.parametrize('how', ['link', 'virtual'])
@pytest.mark.parametrize('name', ['{outside}', '../../outside.h5', '../features/../../outside.h5'])
def test_a_link_out_of_the_store_is_refused_by_name(root: Path, name: str, how: str) -> None:
    outside = root.parent / 'outside.h5'
    write_array(outside)
    name = name.format(outside=outside)
    link = put(h5py.ExternalLink(name, '/x'))
    edit(root, FEATURES, link if how == 'link' else virtual((name, 'x', (7, 3))))
    with pytest.raises(DataError) as error:
        read(root)
    for text in ('train_face_pose.h5: ', 'fts', name, 'outside the folder of the store'):
        assert text in str(error.value)


def test_links_within_the_store_are_followed(root: Path) -> None:
    expected = write_array(root / 'features/shared.h5', 'deep/x')

    def by_soft_links(file: h5py.File) -> None:
        file['elsewhere'] = file['a/fts'][:]
        del file['a/fts']
        file['a/fts'] = h5py.SoftLink('/elsewhere')

    before = read(root)
    edit(root, FEATURES, by_soft_links)
    np.testing.assert_array_equal(read(root), before)
    for link in (
        h5py.ExternalLink('shared.h5', '/deep/x'),
        h5py.ExternalLink('../features/shared.h5', 'deep/x'),
    ):
        edit(root, FEATURES, put(link))
        np.testing.assert_array_equal(read(root), expected)

    def whole_video(file: h5py.File) -> None:
        del file['a']
        file['a'] = h5py.ExternalLink('other.h5', '/group')

    expected = write_array(root / 'features/other.h5', 'group/fts')
    edit(root, FEATURES, whole_video)
    np.testing.assert_array_equal(read(root), expected)


def test_symbolic_links_of_files_and_folders_are_followed(root: Path) -> None:
    expected, disk = read(root), root.parent / 'disk'
    disk.mkdir()
    (root / f'{FEATURES}.h5').rename(disk / 'moved.h5')
    (root / f'{FEATURES}.h5').symlink_to(disk / 'moved.h5')
    np.testing.assert_array_equal(read(root), expected)
    (root / 'features').rename(disk / 'features')
    (root / 'features').symlink_to(disk / 'features')
    np.testing.assert_array_equal(read(root), expected)


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        (put(h5py.SoftLink('/nowhere')), "'a/fts' is a link to '/nowhere', and there is nothing"),
        (put(h5py.SoftLink('/b/nowhere')), "'a/fts' is a link to '/b/nowhere', and there is nothing"),
        (put(h5py.ExternalLink('train_face_pose.h5', '/x')), "'a/fts' is a link to '/x' in .*, and there"),
        (put(h5py.SoftLink('fts')), 'more than 32 links that lead on to one another'),
        (put(h5py.ExternalLink('gone.h5', '/x')), "'a/fts' is a link into 'gone.h5', which is not there"),
        (create(shape=(7,), dtype='u1', external=[('/etc/passwd', 0, 7)]), "another file, '/etc/passwd'"),
        (create(shape=(7,), dtype='u1', external=[('beside.raw', 0, 7)]), "another file, 'beside.raw'"),
        (virtual(('gone.h5', 'x', (7, 3))), "virtual, from 'gone.h5', which is not there"),
        (virtual(('.', 'b/nothing', (7, 3))), "virtual, from 'b/nothing' of .* which is not there"),
        (virtual(('.', 'b/fts', (7, 3))), r"from 'b/fts' .* has shape \(5, 3\) and not the numbers taken"),
        (virtual(('.', 'b/fts', (5, 3))), '6 of its 21 numbers come from nowhere'),
        (virtual(('.', 'a/fts', (7, 3))), 'more than 32 arrays that stand for one another'),
        (endless('part-%b.h5'), "virtual, from 'part-%b.h5' without an end"),
    ],
)
def test_what_leads_to_nothing_is_no_zeros(root: Path, change: Change, text: str) -> None:
    edit(root, FEATURES, change)
    with pytest.raises(DataError, match=text) as error:
        read(root)
    assert 'train_face_pose.h5: ' in str(error.value)


def test_a_virtual_array_of_what_is_there_is_read(root: Path) -> None:
    b = RUCAIM3Store(root).read('b', 'face_pose', 0, 5)
    two = write_array(root / 'features/two.h5', rows=2)
    edit(root, FEATURES, virtual(('.', 'b/fts', (5, 3)), ('two.h5', 'x', (2, 3))))
    np.testing.assert_array_equal(read(root), np.concatenate([b, two]))
    packed = pack_store(RUCAIM3Store(root), root.parent / 'packed')
    np.testing.assert_array_equal(packed.read('a', 'face_pose', 0, 7), np.concatenate([b, two]))
    (root / 'features/two.h5').unlink()  # HDF5 would read zeros
    with pytest.raises(DataError, match=r"virtual, from 'two\.h5', which is not there"):
        pack_store(RUCAIM3Store(root), root.parent / 'again')


@pytest.mark.parametrize(
    'change', [None, put(h5py.ExternalLink('pipe.h5', '/x')), virtual(('pipe.h5', 'x', (7, 3)))]
)
def test_a_pipe_is_refused_wherever_it_stands(root: Path, change: Change | None) -> None:
    os.mkfifo(root / 'features/pipe.h5')
    if change is not None:
        edit(root, FEATURES, change)
    else:
        (root / f'{FEATURES}.h5').unlink()
        (root / f'{FEATURES}.h5').symlink_to('pipe.h5')
    with pytest.raises(DataError, match=r'\.h5: is a pipe'):
        read(root)


# What is no number, or of a size that cannot be


@pytest.mark.parametrize(
    ('values', 'text'),
    [
        (np.full((7, 3), b'x'), 'text'),
        (np.array(['x'] * 7, dtype=object), 'text'),
        (np.zeros((7, 3), [('x', 'f4'), ('y', 'i4')]), 'records or complex numbers'),
        (np.zeros((7, 3), 'c8'), 'records or complex numbers'),
        (np.zeros((7, 3), 'V8'), 'raw bytes'),
        (h5py.Empty('f4'), 'is empty'),
    ],
)
def test_only_plain_numbers_reach_numpy(root: Path, values: object, text: str) -> None:
    edit(root, FEATURES, put(values))
    with pytest.raises(DataError, match=f"train_face_pose.h5: fts of 'a' .*{text}"):
        read(root)


@pytest.mark.parametrize('dtype', ['bool', 'i1', 'u2', '>i4', 'i8', 'f2', '>f8'])
def test_every_kind_of_number_is_read(root: Path, dtype: str) -> None:
    values = np.arange(21).reshape(7, 3).astype(dtype)
    edit(root, FEATURES, put(values))
    np.testing.assert_array_equal(read(root), values.astype(float))


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        (create(shape=(2**40, 3), dtype='f4', chunks=(64, 3)), r'shape \(1099511627776, 3\): more than'),
        (create(shape=(7, 2**34), dtype='f4', chunks=(1, 64)), r'shape \(7, 17179869184\): more than'),
        (create(shape=(MAX_ROWS + 1, 3), dtype='f4', chunks=(64, 3)), f'{MAX_ROWS:,} frames'),
        (create(shape=(7, MAX_NUMBERS + 1), dtype='u1', chunks=(1, 64)), f'{MAX_NUMBERS:,} numbers in one'),
        (create(shape=(7, 2**25), dtype='f8', chunks=(5, 2**25)), f'{MAX_CHUNK:,} can be read'),
        (create(shape=(7, 3), dtype='f4'), 'was never written, and would read as 0'),
        (create(shape=(7, 3), dtype='f4', chunks=(2, 3)), 'was never written, and would read as 0'),
    ],
)
def test_sizes_that_cannot_be_and_nothing_at_all(root: Path, change: Change, text: str) -> None:
    edit(root, FEATURES, change)
    with pytest.raises(DataError, match=f"fts of 'a' .*{text}"):
        read(root)


def test_numbers_of_videos_and_rates_that_cannot_be(root: Path) -> None:
    for name, value, text in (
        ('length', [7, 7], r"length of 'a' has shape \(2,\), expected one number"),
        ('length', np.inf, "length of 'a' is inf, expected a finite number"),
        ('length', -7, "length of 'a' is -7, expected a number of frames"),
        ('length', 7.5, "length of 'a' is 7.5, expected a number of frames"),
        ('length', 2**40, 'expected a number of frames up to'),
        ('fps', 0.0, "fps of 'a' is 0, expected frames per second"),
        ('valence', np.zeros((7, 2), 'f4'), r"valence of 'a' has shape \(7, 2\), expected \(frames,\)"),
    ):

        def change(file: h5py.File, name: str = name, value: object = value) -> None:
            file.attrs['before'] = file[f'a/{name}'][()] if f'a/{name}' in file else 25.0
            file.pop(f'a/{name}', None)
            file[f'a/{name}'] = value

        def undo(file: h5py.File, name: str = name) -> None:
            del file[f'a/{name}']
            file[f'a/{name}'] = file.attrs['before']

        edit(root, TARGETS, change)
        with pytest.raises(DataError, match=text):
            RUCAIM3Store(root)
        edit(root, TARGETS, undo)
        assert RUCAIM3Store(root).video('a').num_frames == 7


def test_columns_and_arrays_of_one_are_taken(root: Path) -> None:
    expected = RUCAIM3Store(root).labels('a', 1, 6)

    def change(file: h5py.File) -> None:
        for name in ('valence', 'arousal'):
            values = file[f'a/{name}'][:][:, None]
            del file[f'a/{name}']
            file[f'a/{name}'] = values
        del file['a/length']
        file['a/length'] = [7]
        file['a/fps'] = [[25.0]]

    edit(root, TARGETS, change)
    edit(
        root, FEATURES, lambda file: file.create_dataset('a/valid', data=[[1], [0], [1], [1], [1], [1], [1]])
    )
    store = RUCAIM3Store(root)
    assert (store.video('a').num_frames, store.video('a').fps) == (7, 25.0)
    np.testing.assert_array_equal(store.labels('a', 1, 6), expected)
    assert store.observed('a', 'face_pose', 0, 3).tolist() == [True, False, True]


def test_what_the_writer_says_of_unwritten_parts_holds(root: Path) -> None:
    def change(file: h5py.File) -> None:
        del file['a/valence']
        file.create_dataset('a/valence', (7,), 'f4', chunks=(2,), fillvalue=-5)

    edit(root, TARGETS, change)
    assert np.isnan(RUCAIM3Store(root).labels('a', 0, 7)).all()


def test_names_that_cannot_be_written_down(root: Path) -> None:
    edit(root, TARGETS, lambda file: file.create_group(b'v\xff'))
    with pytest.raises(DataError, match=r"train_valid_targets.h5: 'v\\udcff' cannot be a name here"):
        RUCAIM3Store(root)
    os.rename(root / f'{FEATURES}.h5', os.fsencode(root) + b'/features/train_\xff.h5')
    with pytest.raises(DataError, match=r"'\\udcff' cannot be a name here"):
        RUCAIM3Store.survey(root)
    writer = RUCAIM3Writer(root.parent / 'written', {'x': (2,)})
    for name in ('v\0', 'v\ud800'):
        with pytest.raises(DataError, match='cannot be a name here'):
            writer.add(name, 'val', {'x': np.zeros((3, 2))})


# What the machine has to do with it


def test_a_file_that_is_being_written_is_said_to_be_locked(root: Path) -> None:
    path = root / f'{FEATURES}.h5'
    (opened, tell_opened), (done, tell_done) = os.pipe(), os.pipe()
    child = os.fork()  # a lock is between processes
    if child == 0:
        os.close(tell_done)
        with h5py.File(path, 'r+'):
            os.write(tell_opened, b'x')
            os.read(done, 1)  # until the other end is closed
        os._exit(0)
    os.read(opened, 1)
    with pytest.raises(DataError, match='is locked by HDF5: another program has it open') as error:
        read(root)
    os.close(tell_done)
    os.waitpid(child, 0)
    assert f'{path}: ' in str(error.value)
    assert 'damaged' not in str(error.value)
    assert read(root).shape == (7, 3)


@pytest.mark.parametrize('number', [37, 38, 95])
def test_a_file_system_without_locks_is_named(
    root: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, mode: str) -> None:
        why = os.strerror(number)
        text = f'Unable to open file (unable to lock file, errno = {number}, error message = {why!r})'
        raise OSError(number, text)

    monkeypatch.setattr(h5py, 'File', refuse)
    with pytest.raises(DataError, match=r'no locks.*HDF5_USE_FILE_LOCKING=FALSE') as error:
        RUCAIM3Store(root)
    assert f'cannot be locked ({os.strerror(number)})' in str(error.value)
    assert 'damaged' not in str(error.value)


def test_a_filter_that_is_not_there_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(root, FEATURES, create(data=np.ones((7, 3), 'f4'), chunks=(2, 3), compression='gzip'))
    assert read(root).all()
    monkeypatch.setattr('abawfw.datasets.stores.rucaim3.hdf5_reader.h5z.filter_avail', lambda code: False)
    with pytest.raises(DataError, match=r'compressed with deflate \(1\), which HDF5 lacks here'):
        read(root)


def test_parts_that_were_never_written_are_counted(root: Path) -> None:
    def change(file: h5py.File) -> None:
        del file['a/fts']
        file.create_dataset('a/fts', (7, 3), 'f4', chunks=(2, 3))[:3] = 1

    edit(root, FEATURES, change)
    reader = HDF5Reader(root)
    assert reader.unwritten(root / f'{FEATURES}.h5', 'a', 'fts') == (2, 4)
    assert reader.unwritten(root / f'{FEATURES}.h5', 'b', 'fts') == (0, 0)


def test_a_link_to_a_group_without_the_array_is_no_link_to_nothing(root: Path) -> None:
    def linked_group(file: h5py.File) -> None:
        del file['a']
        file.create_group('empty')
        file['a'] = h5py.SoftLink('/empty')

    edit(root, FEATURES, linked_group)
    with pytest.raises(DataError, match=r"'a' has no array fts, only \[\]"):
        read(root)
