from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import PIPELINE, MemoryStore

from abawfw.datasets.clip_dataset import ClipDataset
from abawfw.datasets.splits import BalancedKFold, OfficialSplit, RolledKFold
from abawfw.datasets.stores.records import VideoInfo
from abawfw.errors import ConfigError, DataError
from abawfw.groups import session_of


def listed(train: int, val: int, test: int = 0) -> list[VideoInfo]:
    """Videos whose names count train and val together, shuffled among the partitions as a store may."""
    videos = [VideoInfo(str(i), 'train', 1) for i in range(train)]
    videos += [VideoInfo(str(train + i), 'val', 1) for i in range(val)]
    videos += [VideoInfo(f'test{i}', 'test', 1) for i in range(test)]
    return videos


def numbers(videos: Sequence[VideoInfo]) -> list[int]:
    return [int(video.video_id) for video in videos]


# docs/tagf.md, Data
RANGES = [(0, 71), (71, 142), (142, 213), (213, 284), (284, 356), (356, 432)]
VALIDATES = {0: (356, 432), 1: (284, 356), 2: (213, 284), 3: (142, 213), 4: (71, 142), 5: (0, 71)}


@pytest.mark.parametrize('fold', range(6))
def test_the_folds_of_affwild2_are_those_of_the_reference(fold: int) -> None:
    videos = listed(356, 76, 162)
    split = RolledKFold(fold)
    assert numbers(split.videos(videos, 'val')) == list(range(*VALIDATES[fold]))
    # numpy rolls a list right by k as the reference does
    rolled = [RANGES[i] for i in np.roll(np.arange(6), fold)]
    assert rolled[-1] == VALIDATES[fold]
    expected = [i for start, stop in rolled[:-1] for i in range(start, stop)]
    assert numbers(split.videos(videos, 'train')) == expected
    assert split.videos(videos, 'test') == [v for v in videos if v.partition == 'test']


@given(st.integers(5, 60), st.integers(1, 20), st.randoms())
def test_every_video_validates_once_and_trains_in_the_other_folds(
    train: int, val: int, random: object
) -> None:
    videos = listed(train, val, 2)
    random.shuffle(videos)
    order = [v.video_id for p in ('train', 'val') for v in videos if v.partition == p]
    validated = []
    for fold in (5, 4, 3, 2, 1, 0):
        split = RolledKFold(fold)
        here = [v.video_id for v in split.videos(videos, 'val')]
        there = [v.video_id for v in split.videos(videos, 'train')]
        assert sorted(here + there) == sorted(order)
        validated += here
    assert validated == order


def test_fold_0_is_the_official_split() -> None:
    videos = listed(7, 3, 2)
    for partition in ('train', 'val', 'test'):
        assert RolledKFold(0).videos(videos, partition) == OfficialSplit().videos(videos, partition)


@pytest.mark.parametrize('fold', [-1, 6, 100])
def test_a_fold_that_there_is_not_is_refused(fold: int) -> None:
    with pytest.raises(ConfigError, match=rf'fold={fold}\): there are folds 0 to 5'):
        RolledKFold(fold)
    with pytest.raises(ConfigError, match=rf'fold={fold}, folds=6\): there are folds 0 to 5'):
        BalancedKFold(fold)


@pytest.mark.parametrize(('train', 'val'), [(4, 2), (0, 3), (5, 0)])
def test_too_few_trials_are_refused(train: int, val: int) -> None:
    for partition in ('train', 'val'):
        with pytest.raises(DataError, match=rf'5 training videos .* there are {train} and {val}'):
            RolledKFold(1).videos(listed(train, val), partition)


class NamedStore(MemoryStore):
    """A store whose videos have names and long-lasting moods, as people do."""

    def __init__(self, names: Sequence[str], lengths: Sequence[int], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        partitions = ['val' if i % 5 == 4 else 'train' for i in range(len(names))]
        super().__init__(lengths, {'x': (1,)}, partitions)
        self.infos = tuple(
            VideoInfo(name, p, n) for name, p, n in zip(names, partitions, lengths, strict=True)
        )
        self.va = {
            name: np.clip(rng.normal(0, 0.4, 2) + rng.normal(0, 0.2, (n, 2)), -1, 1).astype(np.float32)
            for name, n in zip(names, lengths, strict=True)
        }


def people(count: int, seed: int = 0) -> NamedStore:
    rng = np.random.default_rng(seed)
    names = [f'p{i}{side}' for i in range(count) for side in (('_left', '_right') if i % 4 == 0 else ('',))]
    lengths = np.exp(rng.normal(5, 0.8, len(names))).astype(int) + 1
    return NamedStore(names, lengths.tolist(), seed)


def folds_of(store: NamedStore, folds: int) -> list[list[VideoInfo]]:
    result = []
    for fold in range(folds):
        split = BalancedKFold(fold, folds)
        split.fit(store)
        val = split.videos(store.infos, 'val')
        train = split.videos(store.infos, 'train')
        assert {v.video_id for v in val} | {v.video_id for v in train} == {v.video_id for v in store.infos}
        assert not {session_of(v.video_id) for v in val} & {session_of(v.video_id) for v in train}
        assert [v for v in store.infos if v in val] == val  # store order
        assert [v for v in store.infos if v in train] == train
        result.append(val)
    return result


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 7), st.integers(0, 20), st.integers(0, 5))
def test_every_video_validates_once_and_no_person_is_on_both_sides(folds: int, more: int, seed: int) -> None:
    store = people(folds + more, seed)
    found = folds_of(store, folds)
    assert all(found)
    assert sorted(v.video_id for val in found for v in val) == sorted(v.video_id for v in store.infos)


def test_folds_are_alike_in_frames_and_in_labels() -> None:
    store = people(120)
    found = folds_of(store, 6)
    frames = np.array([sum(v.num_frames for v in val) for val in found])
    assert frames.max() / frames.min() < 1.05
    everything = np.concatenate(list(store.va.values()))
    edges = np.linspace(-1, 1, 11)

    def distance(videos: Sequence[VideoInfo]) -> float:
        labels = np.concatenate([store.va[v.video_id] for v in videos])
        return max(
            np.abs(np.histogram(labels[:, k], edges)[0] / len(labels)
                   - np.histogram(everything[:, k], edges)[0] / len(everything)).sum()
            for k in range(2)
        )  # fmt: skip

    parts = np.array_split(np.arange(len(store.infos)), 6)
    in_order = [distance([store.infos[i] for i in part]) for part in parts]
    balanced = [distance(val) for val in found]
    assert np.mean(balanced) < 0.1 < 0.3 < np.mean(in_order)
    assert max(balanced) < min(in_order)


def test_the_same_data_give_the_same_folds_and_the_order_of_names_does_not_matter() -> None:
    store = people(30)
    assert folds_of(store, 5) == folds_of(people(30), 5)


def test_pairs_share_a_session() -> None:
    assert session_of('video5_left') == session_of('video5_right') == session_of('video5') == 'video5'
    assert session_of('left_video') == 'left_video'


def test_the_test_partition_and_unlabelled_frames_are_left_alone() -> None:
    store = people(12)
    store.infos += (VideoInfo('secret', 'test', 9, has_labels=False),)
    store.va['p1'][: len(store.va['p1']) // 2] = -5
    split = BalancedKFold(1, 3)
    split.fit(store)
    assert [v.video_id for v in split.videos(store.infos, 'test')] == ['secret']
    assert 'secret' not in [v.video_id for p in ('train', 'val') for v in split.videos(store.infos, p)]


def test_folds_that_cannot_be_filled_are_refused() -> None:
    store = NamedStore(['a_left', 'a_right', 'b', 'c'], [5, 5, 5, 5])
    split = BalancedKFold(0, 4)
    with pytest.raises(DataError, match=r'3 groups .* cannot fill 4 folds'):
        split.fit(store)
    with pytest.raises(ConfigError, match='at least 2'):
        BalancedKFold(0, 1)
    with pytest.raises(ConfigError, match=r'fold=3, folds=3'):
        BalancedKFold(3, 3)
    with pytest.raises(ConfigError, match=r'call its fit\(store\)'):
        BalancedKFold(0).videos(store.infos, 'train')


def test_a_dataset_takes_the_videos_of_the_fold() -> None:
    store = people(12)
    common = {'features': ['x'], 'clips': {'type': 'Segments', 'length': 50}, 'pipeline': PIPELINE}
    for kind, fold in (('BalancedKFold', 5), ('RolledKFold', 4)):
        split = {'type': kind, 'fold': fold}
        val = ClipDataset(store, partition='val', split=split, **common)
        train = ClipDataset(store, partition='train', split=split, **common)
        assert len(val.videos) + len(train.videos) == len(store.infos)
        assert {v.partition for v in val.videos} != {'val'}


def test_ranges_are_even() -> None:
    for train in range(5, 40):
        starts = [numbers(RolledKFold(fold).videos(listed(train, 1), 'val'))[0] for fold in (5, 4, 3, 2, 1)]
        assert starts == [i * train // 5 for i in range(5)]
        sizes = [b - a for a, b in pairwise([*starts, train])]
        assert max(sizes) - min(sizes) <= 1
