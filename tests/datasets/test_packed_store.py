from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from killed import killed_at_every_step

from abawfw.datasets.checking.check import check_store
from abawfw.datasets.stores import FeatureInfo, FeatureStore, PackedStore, RUCAIM3Store, VideoInfo, open_store
from abawfw.datasets.stores.base import RunningMoments
from abawfw.datasets.stores.packed.pack import pack_store
from abawfw.datasets.stores.records import Problem
from abawfw.datasets.stores.stated_moments import SAMPLE
from abawfw.errors import DataError
from abawfw.files import recover


class MemoryStore(FeatureStore):
    """A store of arrays in memory."""

    def __init__(
        self, root: Path, features: dict[str, list[np.ndarray]], valid: np.ndarray | None = None
    ) -> None:
        super().__init__(root)
        self.arrays, self.mask = features, valid
        lengths = [len(x) for x in next(iter(features.values()))]
        partitions = ['train', 'val', 'test']
        self.infos = tuple(
            VideoInfo(f'v{i}', partitions[i % 3], n, 25.0 + i, i % 3 < 2) for i, n in enumerate(lengths)
        )

    def videos(self) -> tuple[VideoInfo, ...]:
        return self.infos

    def features(self) -> dict[str, FeatureInfo]:
        return {n: FeatureInfo(x[0].shape[1:], x[0].dtype.name) for n, x in self.arrays.items()}

    def _read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        return self.arrays[feature][int(video.video_id[1:])][start:stop]

    def _labels(self, video: VideoInfo, start: int, stop: int) -> np.ndarray:
        labels = np.stack(
            [np.linspace(-1, 1, video.num_frames), np.linspace(1, -1, video.num_frames)], axis=1
        )
        labels[0] = -5
        return labels[start:stop]

    def _observed(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        if self.mask is not None and video.video_id == 'v0' and feature == 'pose':
            return self.mask[start:stop]
        return super()._observed(video, feature, start, stop)


@pytest.fixture
def source(tmp_path: Path) -> MemoryStore:
    rng = np.random.default_rng(1)
    lengths = [6, 3, 4, 1]
    pose = [rng.normal(100, 1e-3, size=(n, 2)).astype(np.float32) for n in lengths]
    pixels = [rng.integers(0, 255, (n, 4, 3), dtype=np.uint8) for n in lengths]
    mask = np.array([1, 0, 1, 1, 0, 1], dtype=bool)
    return MemoryStore(tmp_path, {'pose': pose, 'pixels': pixels}, mask)


def assert_same(packed: FeatureStore, source: FeatureStore) -> None:
    assert packed.videos() == source.videos()
    assert packed.features() == source.features()
    for video in source.videos():
        for start, stop in ((0, video.num_frames), (video.num_frames // 2, video.num_frames), (0, 0)):
            here = (video.video_id, start, stop)
            np.testing.assert_array_equal(packed.labels(*here), source.labels(*here))
            for name in source.features():
                here = (video.video_id, name, start, stop)
                found, expected = packed.read(*here), source.read(*here)
                assert found.dtype == expected.dtype
                assert found.flags.writeable
                np.testing.assert_array_equal(found, expected)
                np.testing.assert_array_equal(packed.observed(*here), source.observed(*here))


def test_packed_equals_its_source(source: MemoryStore, tmp_path: Path) -> None:
    packed = pack_store(source, tmp_path / 'packed')
    assert isinstance(open_store(tmp_path / 'packed'), PackedStore)
    assert_same(packed, source)
    names = {path.name for path in packed.root.iterdir()}
    assert 'valid_pose.npy' in names
    assert 'valid_pixels.npy' not in names
    assert not list(tmp_path.glob('.packed*'))
    assert_same(pack_store(packed, tmp_path / 'again'), source)


def test_real_data_survive_packing(shared: Path, tmp_path: Path) -> None:
    source = RUCAIM3Store(shared / 'data' / 'ceap360vr')
    packed = pack_store(source, tmp_path / 'ceap')
    assert_same(packed, source)
    train = [v.video_id for v in source.videos() if v.partition == 'train']
    everything = np.concatenate([source.read(v, 'head', 0, source.video(v).num_frames) for v in train])
    for store in (packed, source):
        mean, std = store.moments('head', train)
        np.testing.assert_allclose(mean, everything.mean(axis=0, dtype=float), rtol=1e-10)
        np.testing.assert_allclose(std, everything.std(axis=0, dtype=float), rtol=1e-10)


def test_moments_equal_those_of_the_reference(golden: Path, tmp_path: Path) -> None:
    packed = pack_store(RUCAIM3Store(golden / 'h5_mini'), tmp_path / 'mini')
    train = [v.video_id for v in packed.videos() if v.partition == 'train']
    for name in ('egemaps', 'head_pose'):
        with h5py.File(golden / f'h5_mini/features/mean_std_on_trn/{name}.h5') as file:
            np.testing.assert_allclose(
                packed.moments(name, train),
                (file['train/mean'][:], file['train/std'][:]),
                rtol=1e-6,
                atol=1e-12,
            )


@pytest.mark.parametrize('videos', [['v0'], ['v3', 'v0'], ['v2', 'v1', 'v0', 'v3']])
def test_moments_of_any_fold_come_without_a_pass_over_the_features(
    tmp_path: Path, videos: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more than a sample of frames is read, each alone in videos as long as these."""
    rng = np.random.default_rng(1)
    pose = [rng.normal(100, 1e-3, size=(n, 2)).astype(np.float32) for n in (6000, 3000, 4000, 5000)]
    source = MemoryStore(tmp_path, {'pose': pose, 'pixels': [(x * 1e5).astype(np.uint8) for x in pose]})
    packed = pack_store(source, tmp_path / 'packed')
    reads, of_file = list[int](), PackedStore._read

    def counted(store: PackedStore, video: VideoInfo, name: str, start: int, stop: int) -> np.ndarray:
        reads.append(stop - start)
        return of_file(store, video, name, start, stop)

    monkeypatch.setattr(PackedStore, '_read', counted)
    for name in ('pose', 'pixels'):
        reads.clear()
        values = np.concatenate([source.arrays[name][int(v[1:])] for v in videos]).astype(float)
        mean, std = packed.moments(name, videos)
        np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(std, np.where(values.std(axis=0) == 0, 1, values.std(axis=0)), rtol=1e-9)
        assert sum(reads) <= SAMPLE
    with pytest.raises(DataError, match='no videos given'):
        packed.moments('pose', [])
    reads.clear()
    assert packed.checksum('v1', 'pose') == zlib.crc32(pose[1].tobytes())
    assert (reads, source.checksum('v1', 'pose')) == ([], None)


@pytest.mark.parametrize('checksums', [True, False])
def test_sums_of_other_frames_are_refused(source: MemoryStore, tmp_path: Path, checksums: bool) -> None:
    """The feature was written anew, the sums beside it were not."""
    packed = pack_store(source, tmp_path / 'packed')
    if not checksums:
        index = json.loads((packed.root / 'index.json').read_text())
        del index['checksums']
        (packed.root / 'index.json').write_text(json.dumps(index))
    assert not found_statistics(packed.root)
    values = np.load(packed.root / 'feature_pose.npy') * 10 + 100
    np.save(packed.root / 'feature_pose.npy', values)
    packed = PackedStore(packed.root)
    way_out = r'1100 and 0\.0\d+: was the feature written anew\?; pack the store again'
    for observed, file in ((False, 'moments_pose'), (True, 'observed_moments_pose')):
        for moments in (packed.moments, packed.scalar_moments):
            with pytest.raises(DataError, match=rf'/{file}\.npy: .*{way_out}'):
                moments('pose', ['v0', 'v3'], observed)
    assert packed.moments('pixels', ['v0', 'v3'])
    (problem,) = found_statistics(packed.root)
    assert (problem.severity, problem.feature) == ('error', 'pose')
    assert 'pack the store again' in problem.text
    np.save(packed.root / 'moments_pixels.npy', np.full((4, 2, 4, 3), np.nan))
    with pytest.raises(DataError, match='moments_pixels'):
        PackedStore(packed.root).moments('pixels', ['v0', 'v3'])
    assert [p.feature for p in found_statistics(packed.root)] == ['pose', 'pixels']


def test_sums_of_observed_frames_are_held_against_those(source: MemoryStore, tmp_path: Path) -> None:
    """Others may be far away: zeros, where no face was found."""
    source.arrays['pose'][0][[1, 4]] = -1e6
    packed = pack_store(source, tmp_path / 'packed')
    expected = source.arrays['pose'][0][[0, 2, 3, 5]].mean(axis=0, dtype=float)
    np.testing.assert_allclose(packed.moments('pose', ['v0'], observed=True)[0], expected)
    assert not found_statistics(packed.root)


def found_statistics(root: Path) -> list[Problem]:
    return [problem for problem in check_store(PackedStore, root).problems if problem.check == 'statistics']


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.floats(-1e6, 1e6), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_running_moments_do_not_depend_on_the_pieces(cuts: list[int], offset: float, seed: int) -> None:
    values = np.random.default_rng(seed).normal(offset, 1, size=(sum(cuts) + 2, 3))
    pieces = np.split(values, np.cumsum(cuts))
    moments = RunningMoments((3,))
    for piece in pieces:
        moments.add(piece)
    np.testing.assert_allclose(
        moments.result(), (values.mean(axis=0), values.std(axis=0)), rtol=1e-7, atol=1e-12
    )


def test_selection_and_half_precision(source: MemoryStore, tmp_path: Path) -> None:
    packed = pack_store(source, tmp_path / 'half', ['pose'], dtype='float16')
    assert packed.features() == {'pose': FeatureInfo((2,), 'float16')}
    expected = source.arrays['pose'][0].astype(np.float16)
    np.testing.assert_array_equal(packed.read('v0', 'pose', 0, 6), expected)
    np.testing.assert_allclose(packed.moments('pose', ['v0'])[0], expected.astype(float).mean(axis=0))
    with pytest.raises(DataError, match=r"no feature 'posse'; did you mean 'pose'\?"):
        pack_store(source, tmp_path / 'other', ['posse'])
    assert (
        pack_store(source, tmp_path / 'pixels', ['pixels'], dtype='float16').features()['pixels'].dtype
        == 'uint8'
    )


def test_too_large_for_half_precision_is_refused(source: MemoryStore, tmp_path: Path) -> None:
    source.arrays['pose'][1][2, 1] = 70000
    with pytest.raises(DataError, match=r"'pose' of video 'v1', frame 2: 70000 is too large for float16"):
        pack_store(source, tmp_path / 'half', dtype='float16')
    assert not list(tmp_path.glob('half*'))


def test_nan_is_refused_with_video_first_frame_and_count(source: MemoryStore, tmp_path: Path) -> None:
    source.arrays['pose'][0][[2, 4], 0] = np.nan, np.inf
    with pytest.raises(
        DataError, match=r"'pose' of video 'v0' is NaN or infinite in 2 frame.*first in frame 2"
    ):
        pack_store(source, tmp_path / 'packed')
    assert not list(tmp_path.glob('packed*'))


def test_only_an_old_packed_store_is_overwritten(source: MemoryStore, tmp_path: Path) -> None:
    target = tmp_path / 'packed'
    pack_store(source, target, ['pose'])
    with pytest.raises(DataError, match='exists'):
        pack_store(source, target)
    assert set(pack_store(source, target, overwrite=True).features()) == {'pose', 'pixels'}
    assert [p.name for p in tmp_path.iterdir()] == ['packed']
    other = tmp_path / 'thesis'
    other.mkdir()
    (other / 'chapter.txt').write_text('do not delete')
    with pytest.raises(DataError, match='no packed store'):
        pack_store(source, other, overwrite=True)
    assert (other / 'chapter.txt').exists()


def test_a_failed_overwrite_leaves_the_old_store(source: MemoryStore, tmp_path: Path) -> None:
    target = tmp_path / 'packed'
    pack_store(source, target)
    source.arrays['pose'][2][0] = np.nan
    with pytest.raises(DataError, match='NaN'):
        pack_store(source, target, overwrite=True)
    assert PackedStore(target).features().keys() == {'pose', 'pixels'}


@pytest.mark.parametrize('name', ['feature_pose.npy', 'labels.npy', 'valid_pose.npy', 'moments_pixels.npy'])
def test_missing_or_short_array_is_recognised_on_opening(
    source: MemoryStore, tmp_path: Path, name: str
) -> None:
    path = pack_store(source, tmp_path / 'packed').root / name
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(DataError, match=rf'{name}: .*half-written'):
        PackedStore(tmp_path / 'packed')
    os.truncate(path, 5)
    with pytest.raises(DataError, match=rf'{name}: .*half-written'):
        PackedStore(tmp_path / 'packed')
    path.unlink()
    with pytest.raises(DataError, match=name):
        PackedStore(tmp_path / 'packed')


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        ({'version': 2}, 'version 2, this code reads version 1'),
        ({'format': 'other'}, "format 'other'"),
        ({'videos': [{}]}, 'KeyError'),
        ({'features': {'../pose': {'dims': [2], 'dtype': 'float32', 'valid': False}}}, r'\.\./pose'),
        ({'features': {'pose': {'dims': [2], 'dtype': 'object', 'valid': False}}}, 'object'),
        (
            {'features': {'pose': {'dims': [2], 'dtype': 'float32', 'valid': None}}},
            'None where true or false',
        ),
        ({'features': {'pose': {'dims': [2], 'dtype': 'float32', 'valid': 0}}}, '0 where true or false'),
        ({'times': None}, 'None where true or false'),
        ({'checksums': {'labels': ['1', 2, 3, 4]}}, '1 is no whole number'),
        ({'features': {'pose': {'dims': [3], 'dtype': 'float32', 'valid': False}}}, 'index says'),
    ],
)
def test_index_is_checked(source: MemoryStore, tmp_path: Path, change: dict, text: str) -> None:
    path = pack_store(source, tmp_path / 'packed').root / 'index.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=text):
        PackedStore(path.parent)
    path.write_text(path.read_text()[:100])
    with pytest.raises(DataError, match=r'index\.json'):
        PackedStore(path.parent)


@pytest.mark.parametrize(
    ('name', 'row', 'video', 'feature'),
    [
        ('feature_pose', 7, 'v1', 'pose'),
        ('feature_pixels', 13, 'v3', 'pixels'),
        ('labels', 0, 'v0', ''),
        ('times', 10, 'v2', ''),
        ('valid_pose', 5, 'v0', 'pose'),
        ('moments_pixels', 2, 'v2', 'pixels'),
        ('observed_moments_pose', 0, 'v0', 'pose'),
    ],
)
def test_every_flipped_bit_is_found_by_its_checksum(
    source: MemoryStore, tmp_path: Path, name: str, row: int, video: str, feature: str
) -> None:
    root = pack_store(TimedStore(tmp_path, source.arrays, source.mask), tmp_path / 'packed').root
    path = root / f'{name}.npy'
    assert found_checksums(root) == []
    values, content = np.load(path), path.read_bytes()
    step = values.nbytes // len(values)
    start = len(content) - values.nbytes + row * step
    for position, bit in ((start, 0), (start + step // 2, 3), (start + step - 1, 1)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << bit
        if name == 'valid_pose':
            damaged[position] ^= 1 << bit
            damaged[position] ^= 1  # True for False
        path.write_bytes(damaged)
        (problem,) = found_checksums(root)
        assert (problem.severity, problem.video_id, problem.feature) == ('error', video, feature)
        assert problem.text.startswith(f'{path}: the values of this video are not those that were packed')
    path.write_bytes(content)
    assert found_checksums(root) == []


def found_checksums(root: Path) -> list[Problem]:
    return [problem for problem in check_store(PackedStore, root).problems if problem.check == 'checksum']


def test_only_features_that_are_asked_for_are_verified(source: MemoryStore, tmp_path: Path) -> None:
    root = pack_store(source, tmp_path / 'packed').root
    with (root / 'feature_pixels.npy').open('r+b') as file:
        file.seek(-1, os.SEEK_END)
        file.write(b'\x7f')
    kinds = [p.check for p in check_store(PackedStore, root, ['pose']).problems]
    assert 'checksum' not in kinds
    assert 'checksum' in [p.check for p in check_store(PackedStore, root, ['pixels']).problems]


def test_a_store_of_an_earlier_version_has_no_checksums_and_says_so(
    source: MemoryStore, tmp_path: Path
) -> None:
    root = pack_store(source, tmp_path / 'packed').root
    index = json.loads((root / 'index.json').read_text())
    del index['checksums']
    (root / 'index.json').write_text(json.dumps(index))
    assert_same(PackedStore(root), source)
    (note,) = found_checksums(root)
    assert note.severity == 'note'
    assert note.text.startswith('no checksums to verify of labels, feature_pose, moments_pose')
    index['checksums'] = {'labels': [1, 2]}
    (root / 'index.json').write_text(json.dumps(index))
    with pytest.raises(DataError, match='2 checksums of labels for 4 videos'):
        PackedStore(root)


def test_packing_killed_at_any_step_loses_no_store(source: MemoryStore, tmp_path: Path) -> None:
    old = pack_store(source, tmp_path / 'old', ['pose']).root
    out = tmp_path / 'here/packed'

    def prepare() -> None:
        shutil.rmtree(out.parent, ignore_errors=True)
        shutil.copytree(old, out)

    seen = set()
    steps = ('os.rename', 'os.mkdir', 'os.rmdir', 'shutil.rmtree')
    for _ in killed_at_every_step(lambda: pack_store(source, out, overwrite=True), prepare, steps):
        there = out.exists()
        assert bool(recover(out)) == (not there)
        seen.add(tuple(PackedStore(out).features()))
        assert [p.name for p in out.parent.iterdir()] == ['packed']
    assert seen == {('pose',), ('pose', 'pixels')}


def test_a_pickled_array_in_a_store_is_never_loaded(source: MemoryStore, tmp_path: Path) -> None:
    root = pack_store(source, tmp_path / 'packed').root
    np.save(root / 'feature_pose.npy', np.array([{'code': 1}] * 14, dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match='feature_pose'):
        PackedStore(root)


def test_pickle_and_fork_read_the_same(source: MemoryStore, tmp_path: Path) -> None:
    packed = pack_store(source, tmp_path / 'packed')
    assert_same(pickle.loads(pickle.dumps(packed)), source)
    packed.read('v0', 'pose', 0, 6)  # opened before the fork
    context = multiprocessing.get_context('fork')
    workers = [context.Process(target=assert_same, args=(packed, source)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert_same(packed, source)


READ_ALL = """
import sys
from abawfw.datasets.stores import open_store
store = open_store(sys.argv[1])
for video in store.videos():
    for start in range(0, video.num_frames, 250):
        store.read(video.video_id, 'pose', start, min(start + 250, video.num_frames))
        store.labels(video.video_id, start, min(start + 250, video.num_frames))
store.moments('pose', [video.video_id for video in store.videos()])
# not ru_maxrss: that of a child starts at what its parent had
print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))
"""


def test_memory_does_not_grow_with_the_data_that_are_read(tmp_path: Path) -> None:
    peaks = []
    for videos in (3, 30):
        arrays = [np.ones((2000, 512), np.float32)] * videos  # 4 MB each
        pack_store(MemoryStore(tmp_path, {'pose': arrays}), tmp_path / f'{videos}')
        command = [sys.executable, '-c', READ_ALL, str(tmp_path / f'{videos}')]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert peaks[1] < 1.1 * peaks[0]


def test_stores_need_neither_torch_nor_opencv() -> None:
    code = (
        'import sys, abawfw.datasets.stores, abawfw.datasets.checking.check\n'
        'import abawfw.datasets.stores.packed.pack\n'
        'abawfw.datasets.stores.kinds.store_kinds()\n'
        "assert not {'torch', 'cv2', 'mmengine.runner'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, '-c', code], check=True)


class TimedStore(MemoryStore):
    """Knows the times of its first video, and nothing of those of its second."""

    own = np.array([0.5, 0.54, 0.6, 0.61, 7.0, 7.123456789])

    def __init__(
        self, root: Path, features: dict[str, list[np.ndarray]], valid: np.ndarray | None = None
    ) -> None:
        super().__init__(root, features, valid)
        self.infos = tuple(
            dataclasses.replace(v, fps=None) if v.video_id in ('v0', 'v1') else v for v in self.infos
        )

    def times(self, video_id: str) -> np.ndarray | None:
        return self.own if video_id == 'v0' else super().times(video_id)


def test_times_of_the_source_are_kept(source: MemoryStore, tmp_path: Path) -> None:
    packed = pack_store(TimedStore(tmp_path, source.arrays), tmp_path / 'packed')
    found = packed.times('v0')
    assert found is not None
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, TimedStore.own)
    assert packed.times('v1') is None
    np.testing.assert_array_equal(packed.times('v2'), np.arange(4) / 27)
    again = pack_store(packed, tmp_path / 'again')
    np.testing.assert_array_equal(again.times('v0'), TimedStore.own)


def test_times_by_the_frame_rate_take_no_room(source: MemoryStore, tmp_path: Path) -> None:
    packed = pack_store(source, tmp_path / 'packed')
    assert not (packed.root / 'times.npy').exists()
    index = packed.root / 'index.json'
    data = json.loads(index.read_text())
    del data['times']  # as earlier versions wrote it
    index.write_text(json.dumps(data))
    np.testing.assert_array_equal(PackedStore(packed.root).times('v2'), np.arange(4) / 27)


def test_a_store_that_another_process_made_meanwhile_is_left_as_it_is(
    source: MemoryStore, tmp_path: Path
) -> None:
    def other(what: str, done: int, total: int) -> None:
        (tmp_path / 'packed').mkdir(exist_ok=True)
        (tmp_path / 'packed/theirs').touch()

    with pytest.raises(DataError, match=r'packed: exists now: it was made while this was packed'):
        pack_store(source, tmp_path / 'packed', progress=other)
    assert [p.name for p in (tmp_path / 'packed').iterdir()] == ['theirs']
