from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_store import MemoryStore

from abawfw.datasets.clip_dataset import Clip, ClipDataset
from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.stores.array_store import ArrayStore
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.transforms import LoadFeatures, Normalize, ShiftLabels
from abawfw.errors import ConfigError, DataError


def loaded(store: MemoryStore, video: int, start: int, stop: int) -> dict[str, Any]:
    clip = Clip(video, start, stop, 0)
    return LoadFeatures()(
        {'store': store, 'video': store.infos[video], 'clip': clip, 'features': ['face', 'audio']}
    )


def fitted(normalize: Normalize, store: FeatureStore) -> Normalize:
    normalize.fit(store, [v for v in store.videos() if v.partition == 'train'])
    return normalize


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_loading_refuses_what_is_not_finite(bad: float):
    store = MemoryStore([9])
    store.data['v0', 'audio'][[5, 7], 1] = bad
    loaded(store, 0, 0, 5)
    with pytest.raises(DataError, match=r"'audio' of video 'v0'.* 2 .*first in frame 5"):
        loaded(store, 0, 4, 9)


def test_loading_refuses_infinities_of_both_signs():
    store = MemoryStore([9])
    store.data['v0', 'face'][3] = [np.inf, -np.inf, 0]
    with pytest.raises(DataError, match='first in frame 3'):
        loaded(store, 0, 2, 9)


def test_values_whose_sum_overflows_are_fine():
    store = MemoryStore([9])
    store.data['v0', 'face'][:] = 3e38
    assert (loaded(store, 0, 0, 9)['inputs']['face'] == np.float32(3e38)).all()


def test_statistics_of_the_training_videos_reach_every_partition():
    store = MemoryStore([30, 20, 9], partitions=['train', 'train', 'val'])
    for video in ('v0', 'v1'):
        store.data[video, 'face'][:, 2] = 7  # constant: its deviation counts as 1
    train = np.concatenate([store.data['v0', 'face'], store.data['v1', 'face']]).astype(np.float64)
    std = np.array([*train.std(axis=0)[:2], 1])
    results = fitted(Normalize('train', ['face']), store)(loaded(store, 2, 3, 9))
    expected = (store.data['v2', 'face'][3:9] - train.mean(axis=0)) / std
    np.testing.assert_allclose(results['inputs']['face'], expected, rtol=1e-4, atol=1e-5)
    assert results['inputs']['face'].dtype == np.float32
    np.testing.assert_array_equal(results['inputs']['audio'], store.data['v2', 'audio'][3:9])


def test_statistics_of_a_sequence_are_those_of_its_whole_video():
    store = MemoryStore([30, 20])
    store.data['v1', 'audio'][:, 0] = 0.1  # its mean is rounded, and still it must not deviate
    transform = fitted(Normalize('sequence', ['audio']), store)
    for video, start, stop in ((0, 0, 4), (1, 7, 20), (0, 4, 9)):
        values = store.data[f'v{video}', 'audio'].astype(np.float64)
        std = values.std(axis=0, ddof=1)
        if video == 1:
            std[0] = 1
        expected = ((values - values.mean(axis=0)) / std)[start:stop]
        results = transform(loaded(store, video, start, stop))
        np.testing.assert_allclose(results['inputs']['audio'], expected, rtol=1e-4, atol=1e-6)


def test_a_video_of_one_frame_is_normalised_to_zero():
    store = MemoryStore([1])
    results = fitted(Normalize('sequence', ['face']), store)(loaded(store, 0, 0, 1))
    assert results['inputs']['face'].tolist() == [[0, 0, 0]]


def test_a_sequence_is_read_once(monkeypatch: pytest.MonkeyPatch):
    store = MemoryStore([30])
    transform = fitted(Normalize('sequence', ['face']), store)
    clips = [loaded(store, 0, i, i + 3) for i in range(5)]
    reads = []
    read = MemoryStore._read
    monkeypatch.setattr(MemoryStore, '_read', lambda *a: reads.append(a[2:]) or read(*a))
    for results in clips:
        transform(results)
    assert reads == [('face', 0, 30)]


def test_statistics_of_sequences_are_forgotten_when_they_grow_too_many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr('abawfw.datasets.transforms.normalize.REMEMBERED', 2)
    store = MemoryStore([5] * 3)
    transform = fitted(Normalize('sequence', ['face']), store)
    reads = []
    for video in (0, 1, 0, 2, 0, 1):  # 2 drives out 1, which was used less recently than 0
        results = loaded(store, video, 0, 5)
        with monkeypatch.context() as patch:
            read = MemoryStore._read
            patch.setattr(MemoryStore, '_read', lambda *a, read=read: reads.append(a[1].video_id) or read(*a))
            transform(results)
    assert reads == ['v0', 'v1', 'v2', 'v1']


def test_a_sequence_that_is_bad_elsewhere_is_refused():
    store = MemoryStore([9])
    store.data['v0', 'face'][8] = [np.inf, -np.inf, np.nan]
    transform = fitted(Normalize('sequence', ['face']), store)
    with pytest.raises(DataError, match='first in frame 8'):
        transform(loaded(store, 0, 0, 4))


def test_an_unknown_method_is_refused():
    with pytest.raises(ConfigError, match=r"'trn'.*'train', 'train_scalar' and 'sequence'"):
        Normalize('trn')


def golden_sequences(golden: Path, method: str, normed: list[str], partition: str) -> list[np.ndarray]:
    """Every video of the golden data set, its features concatenated, normalised."""
    stores = pytest.importorskip('abawfw.datasets.stores.rucaim3.store')
    dataset = ClipDataset(
        stores.RUCAIM3Store(golden / 'h5_mini'),
        features=['egemaps', 'head_pose'],
        partition=partition,
        clips={'type': 'Segments', 'length': 1000},
        pipeline=[
            {'type': 'LoadFeatures'},
            {'type': 'Normalize', 'method': method, 'features': normed},
            {'type': 'PackVA'},
        ],
    )
    items = [dataset[ClipRequest(i)]['inputs'] for i in range(len(dataset))]
    return [np.concatenate([x['egemaps'], x['head_pose']], axis=1) for x in items]


@pytest.mark.parametrize('partition', ['train', 'val', 'test'])
@pytest.mark.parametrize('normed', [['egemaps'], ['egemaps', 'head_pose']])
@pytest.mark.parametrize('method', ['train', 'sequence'])
def test_normalisation_equals_the_reference(golden: Path, method: str, normed: list[str], partition: str):
    numbers = np.load(golden / 'normalization.npz')
    name = f'{ {"train": "trn", "sequence": "batch"}[method] }/{",".join(normed)}/{partition}'
    expected, lengths = numbers[f'{name}/feature'], numbers[f'{name}/length']
    sequences = golden_sequences(golden, method, normed, partition)
    assert [len(x) for x in sequences] == lengths.tolist()
    # Statistics of a shorter sequence take in its padding in the reference, which is a defect.
    rows = range(len(lengths)) if method == 'train' else [int(lengths.argmax())]
    for row in rows:
        np.testing.assert_allclose(sequences[row], expected[row, : lengths[row]], rtol=1e-4, atol=2e-6)


@given(st.integers(1, 40), st.integers(0, 50), st.integers(1, 15))
def test_shifted_labels_are_those_of_later_frames(num_frames: int, frames: int, length: int):
    store = MemoryStore([num_frames])
    clips = ClipDataset(
        store,
        ['face'],
        'train',
        {'type': 'Segments', 'length': length},
        [{'type': 'LoadFeatures'}, {'type': 'ShiftLabels', 'frames': frames}, {'type': 'PackVA'}],
    )
    got = np.concatenate([clips[ClipRequest(i)]['data_sample'].gt_va for i in range(len(clips))])
    expected = [store.va['v0'][min(i + frames, num_frames - 1)] for i in range(num_frames)]
    np.testing.assert_array_equal(got, expected)


def test_labels_do_not_come_before_the_video():
    with pytest.raises(ConfigError, match='frames=-1'):
        ShiftLabels(-1)


def test_arrays_stay_as_they_are() -> None:
    """What was not observed is zero for the model, not in the arrays of the caller."""
    values = np.ones((20, 3), np.float32)
    store = ArrayStore('v', {'x': values}, {'x': np.arange(20) > 5})
    pipeline = [{'type': 'LoadFeatures', 'masked': True}, {'type': 'PackVA'}]
    clips = {'type': 'Segments', 'length': 10}
    dataset = ClipDataset(store, ['x'], 'test', clips, pipeline, split={'type': 'OfficialSplit'})
    seen = dataset[ClipRequest(0)]['inputs']['x']
    assert not seen[:6].any()
    assert seen[6:].all()
    assert values.all()
