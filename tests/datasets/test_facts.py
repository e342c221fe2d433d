from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from small_rucaim3 import edit, write_rucaim3
from small_trials import replace, write_trials

from abawfw.datasets.checking.facts import CENTRES, DataFacts, PartitionFacts, VideoFacts, read_facts
from abawfw.datasets.stores.records import VideoInfo
from abawfw.errors import DataError

LENGTHS = {'train': {'a': 40, 'b': 25, 'c': 90}, 'val': {'d': 33, 'e': 1}, 'test': {'f': 12}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with a gap in labels of a, constant arousal in b, and frames of b and c not observed."""
    root = write_rucaim3(tmp_path / 'store', LENGTHS)

    def labels(file: h5py.File) -> None:
        for name in ('valence', 'arousal'):
            file[f'a/{name}'][5:15] = -5
        file['b/arousal'][:] = 0.1
        for video, frames in LENGTHS['train'].items():
            file[f'{video}/fps'] = 30.0 if video == 'a' else 25.0
            assert file[video]['valence'].shape == (frames,)

    def masks(file: h5py.File) -> None:
        file['b/valid'] = np.arange(25) >= 3  # one gap of 3
        file['c/valid'] = ~np.isin(np.arange(90), [0, 50, 51, 52, 53, 89])  # gaps of 1, 4, 1

    edit(root, 'targets/train_valid_targets', labels)
    edit(root, 'features/train_face_pose', masks)
    return root


def raw(root: Path, partition: str) -> dict[str, np.ndarray]:
    """Labels as they lie on disk, (frames, 2) float64, -5 where there is none."""
    with h5py.File(root / 'targets' / f'{partition}_valid_targets.h5') as file:
        return {v: np.stack([file[v]['valence'], file[v]['arousal']], 1).astype(np.float64) for v in file}


def test_counts(root: Path) -> None:
    facts = read_facts(root)
    assert facts.kind == 'rucaim3'
    assert list(facts.partitions) == ['train', 'val', 'test']
    train, test = facts.partitions['train'], facts.partitions['test']
    assert (len(train.videos), train.frames, train.labelled) == (3, 155, 145)
    assert (len(test.videos), test.frames, test.labelled) == (1, 12, 0)
    assert [video.info.fps for video in train.videos] == [30.0, 25.0, 25.0]
    assert [video.constant for video in train.videos] == [[], ['arousal'], []]
    assert test.videos[0].mean == {}
    assert facts.partitions['val'].videos[1].constant == []  # one frame cannot vary


def test_means_deviations_and_share_between_videos(root: Path) -> None:
    videos = {v: x[x[:, 0] != -5] for v, x in raw(root, 'train').items()}
    everything = np.concatenate(list(videos.values()))
    train = read_facts(root).partitions['train']
    for column, (target, facts) in enumerate(train.targets.items()):
        values = everything[:, column]
        assert facts.mean == pytest.approx(values.mean())
        assert facts.std == pytest.approx(values.std())
        between = sum(len(x) * (x[:, column].mean() - values.mean()) ** 2 for x in videos.values())
        assert facts.between == pytest.approx(between / len(values) / values.var())
        for video in train.videos:
            own = videos[video.info.video_id][:, column]
            assert (video.labelled, video.mean[target]) == (len(own), pytest.approx(own.mean()))
            assert video.std[target] == pytest.approx(own.std(), abs=1e-7)


def test_plane_counts_every_labelled_frame_in_the_bin_of_its_middle(root: Path) -> None:
    train = read_facts(root).partitions['train']
    expected = np.zeros_like(train.plane)
    for labels in raw(root, 'train').values():
        for valence, arousal in labels[labels[:, 0] != -5]:
            expected[np.abs(CENTRES - valence).argmin(), np.abs(CENTRES - arousal).argmin()] += 1
    np.testing.assert_array_equal(train.plane, expected)


def test_plane_holds_labels_on_the_bounds() -> None:
    facts = PartitionFacts()
    corners = np.array([[-1, -1], [1, 1], [-1, 1], [0, 0]], dtype=np.float32)
    facts.add(VideoFacts(VideoInfo('v', 'train', 4), corners, {}))
    assert facts.plane[0, 0] == facts.plane[-1, -1] == facts.plane[0, -1] == facts.plane[20, 20] == 1
    assert facts.plane.sum() == 4


def test_missing_frames_and_gaps(root: Path) -> None:
    train = read_facts(root).partitions['train']
    missing = train.missing['face_pose']
    assert (missing.frames, missing.missing) == (115, 9)  # a has no mask
    assert sorted(missing.gaps.tolist()) == [1, 1, 3, 4]
    assert [video.missing for video in train.videos] == [{}, {'face_pose': 3}, {'face_pose': 6}]


def test_shifts_are_between_means_of_videos(tmp_path: Path) -> None:
    names = {'train': [f't{i}' for i in range(6)], 'val': [f'v{i}' for i in range(4)]}
    root = write_rucaim3(tmp_path / 'store', {p: dict.fromkeys(v, 10) for p, v in names.items()})
    train, val = raw(root, 'train'), raw(root, 'val')
    shifts = {shift.target: shift for shift in read_facts(root).shifts}
    for column, target in enumerate(('valence', 'arousal')):
        here, there = ([x[:, column] for x in part.values()] for part in (val, train))
        everything = np.concatenate(there)
        assert shifts[target].means == pytest.approx(
            (np.concatenate(here).mean() - everything.mean()) / everything.std()
        )
        means = [[x.mean() for x in part] for part in (here, there)]
        steps = [
            abs(sum(m <= at for m in means[0]) / 4 - sum(m <= at for m in means[1]) / 6)
            for at in [*means[0], *means[1]]
        ]
        assert shifts[target].distance == pytest.approx(max(steps))
        assert 0 < shifts[target].p <= 1


def test_moving_means_and_shifts_are_pooled_over_frames(root: Path) -> None:
    pairs, late = [], []
    for labels in raw(root, 'train').values():
        x = [None if v == -5 else v for v in labels[:, 0]]
        for t, value in enumerate(x):
            if value is None:
                continue
            window = [value]
            for step in (-1, 1):
                at = t + step
                while 0 <= at < len(x) and abs(at - t) <= 5 and x[at] is not None:
                    window.append(x[at])
                    at += step
            pairs.append((value, sum(window) / len(window)))
            if t >= 5 and x[t - 5] is not None:
                late.append((value, x[t - 5]))
    valence = read_facts(root).partitions['train'].targets['valence']
    for found, expected in ((valence.moving_mean[5], pairs), (valence.shift[5], late)):
        x, y = np.array(expected).T
        covariance = ((x - x.mean()) * (y - y.mean())).mean()
        plain = 2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
        assert (found.n, found.ccc) == (len(expected), pytest.approx(plain))


def test_labels_of_a_video(root: Path) -> None:
    facts = read_facts(root)
    a, _, c = facts.partitions['train'].videos
    assert a.labels is not None
    assert c.labels is not None
    assert np.isnan(a.labels[5:15]).all()
    assert a.known().shape == (30, 2)
    np.testing.assert_allclose(c.labels, raw(root, 'train')['c'])
    assert facts.partitions['test'].videos[0].labelled == 0


def test_damaged_labels_leave_out_one_video(root: Path) -> None:
    def spoil(file: h5py.File) -> None:
        file['c/valence'][7] = 3.0

    edit(root, 'targets/train_valid_targets', spoil)
    facts = read_facts(root)
    train = facts.partitions['train']
    assert [video.labelled for video in train.videos] == [30, 25, None]
    assert train.labelled == 55
    assert [p.check for p in facts.report.problems if p.severity == 'error'] == ['label range']


def test_a_video_in_two_partitions_and_an_unreadable_partition(root: Path) -> None:
    with h5py.File(root / 'targets' / 'val_valid_targets.h5', 'r+') as file:
        file.copy('d', 'a')
    (root / 'targets' / 'test_valid_targets.h5').write_bytes(b'nothing')
    facts = read_facts(root)
    assert [video.info.video_id for video in facts.partitions['val'].videos] == ['d', 'e', 'a']
    assert 'test' not in facts.partitions
    assert {'duplicate', 'file'} <= {p.check for p in facts.report.problems if p.severity == 'error'}


def test_a_store_that_cannot_be_opened_is_its_findings(tmp_path: Path) -> None:
    (tmp_path / 'index.json').write_text('{')
    facts = read_facts(tmp_path)
    assert (facts.kind, facts.partitions, facts.shifts) == ('packed', {}, ())
    assert [p.severity for p in facts.report.problems] == ['error']


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='no store of a known kind'):
        read_facts(tmp_path)


def test_black_pictures_of_trials_are_missing_faces(tmp_path: Path) -> None:
    root = write_trials(tmp_path / 'trials')
    video = np.full((7, 6, 6, 3), 9, dtype=np.uint8)
    video[[0, 1, 4]] = 0
    replace(root, 'a', 'video', video)
    train = read_facts(root).partitions['train']
    assert train.missing['video'].missing == 3
    assert sorted(train.missing['video'].gaps.tolist()) == [1, 2]
    assert set(train.missing) == {'video'}


def test_trials_without_an_array_are_told_and_the_rest_is_read(tmp_path: Path) -> None:
    root = write_trials(tmp_path / 'trials')
    (root / 'compacted_48' / 'a' / 'video.npy').unlink()
    facts = read_facts(root)
    assert facts.partitions['train'].labelled == 12
    assert 'missing' in {problem.check for problem in facts.report.problems}


def test_progress_counts_both_looks(root: Path) -> None:
    seen: list[tuple[int, int]] = []
    read_facts(root, lambda done, total: seen.append((done, total)))
    assert seen == [(done, 12) for done in range(12)]


def test_constant_labels_everywhere(tmp_path: Path) -> None:
    root = write_rucaim3(tmp_path / 'store', {'train': {'a': 8, 'b': 8}})

    def flatten(file: h5py.File) -> None:
        for video in file:
            file[f'{video}/valence'][:] = 0.3

    edit(root, 'targets/train_valid_targets', flatten)
    facts: DataFacts = read_facts(root)
    train = facts.partitions['train']
    assert train.targets['valence'].between is None
    assert train.effective_frames('valence') is None
    assert train.targets['valence'].constant.ccc == 0


def test_times_of_frames_where_they_are_known_and_in_order(root: Path, tmp_path: Path) -> None:
    facts = {v.info.video_id: v.times for part in read_facts(root).partitions.values() for v in part.videos}
    np.testing.assert_allclose(facts['a'], np.arange(40) / 30)
    np.testing.assert_allclose(facts['b'], np.arange(25) / 25)
    assert facts['d'] is None
    trials = write_trials(tmp_path / 'trials')
    uneven = [0.0, 0.1, 0.15, 0.4, 0.5, 0.6, 0.7]
    replace(trials, 'a', 'frame_times', np.array(uneven))
    replace(trials, 'b', 'frame_times', np.array([0.0, 0.2, 0.1, 0.3, 0.4]))  # falls: reported, not drawn
    replace(trials, 'c', 'frame_times', np.array([0.0, 0.2]))  # of another number of frames
    facts = {v.info.video_id: v.times for part in read_facts(trials).partitions.values() for v in part.videos}
    np.testing.assert_allclose(facts['a'], uneven, atol=1e-6)
    assert facts['b'] is None
    assert facts['c'] is None
    assert facts['d'] is None
