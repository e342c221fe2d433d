"""One mean for all dimensions, and statistics of what was observed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import MemoryStore
from small_trials import array, replace, write_trials

from abawfw.datasets.clip_dataset import ClipDataset
from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.stores import PackedStore, TrialStore
from abawfw.datasets.stores.base import FeatureStore, RunningMoments
from abawfw.datasets.stores.packed.pack import pack_store
from abawfw.datasets.stores.records import VideoInfo
from abawfw.errors import ConfigError, DataError

SEGMENTS = {'type': 'Segments', 'length': 6}


class MaskedStore(MemoryStore):
    """A store that did not observe everything; masks are in ``masks[video, feature]``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.masks: dict[tuple[str, str], np.ndarray] = {}

    def _observed(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        mask = self.masks.get((video.video_id, feature))
        return super()._observed(video, feature, start, stop) if mask is None else mask[start:stop]


def dataset(store: Any, partition: str, masked: bool = False, **normalize: Any) -> ClipDataset:
    pipeline = [
        {'type': 'LoadFeatures', 'masked': masked},
        {'type': 'Normalize', 'masked': masked, **normalize},
        {'type': 'PackVA'},
    ]
    features = normalize.get('features', list(store.features()))
    return ClipDataset(store, features, partition, SEGMENTS, pipeline)


def values(clips: ClipDataset, feature: str) -> np.ndarray:
    """The feature in all clips."""
    return np.concatenate([clips[ClipRequest(i)]['inputs'][feature] for i in range(len(clips))])


def test_one_mean_and_deviation_for_all_dimensions_of_a_feature() -> None:
    store = MemoryStore([30, 20, 9], {'face': (3,), 'audio': (2, 2)}, ['train', 'train', 'val'])
    for name in ('v0', 'v1'):
        store.data[name, 'face'] = (store.data[name, 'face'] * [1, 5, 0] + [0, 100, -3]).astype(np.float32)
    clips = dataset(store, 'val', method='train_scalar')
    for feature in ('face', 'audio'):
        train = np.concatenate([store.data[v, feature].ravel() for v in ('v0', 'v1')]).astype(np.float64)
        expected = (store.data['v2', feature] - train.mean()) / train.std()
        np.testing.assert_allclose(values(clips, feature), expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=5), st.integers(1, 4), st.floats(-1e4, 1e4))
def test_the_scalar_statistics_are_those_of_all_numbers(lengths: list[int], dim: int, offset: float) -> None:
    rng = np.random.default_rng(len(lengths))
    pieces = [rng.normal(offset, 2, (n, dim)) for n in lengths]
    moments = RunningMoments((dim,))
    for piece in pieces:
        moments.add(piece)
    everything = np.concatenate(pieces).ravel()
    mean, std = moments.scalar_result()
    np.testing.assert_allclose((mean, std), (everything.mean(), everything.std() or 1), rtol=1e-9, atol=1e-9)


def test_a_constant_feature_deviates_by_one() -> None:
    moments = RunningMoments((3,))
    moments.add(np.full((4, 3), 2.5))
    assert moments.scalar_result() == (2.5, 1.0)


def test_every_store_gives_the_same_scalar_statistics(tmp_path: Path) -> None:
    root = write_trials(tmp_path / 'data')
    store = TrialStore(root)
    packed = pack_store(store, tmp_path / 'packed', ['bert', 'logmel'])
    for name in ('bert', 'logmel'):
        everything = np.concatenate([array(root, v, name).ravel() for v in 'ab']).astype(np.float64)
        for here in (store, packed):
            found = here.scalar_moments(name, ['a', 'b'])
            np.testing.assert_allclose(found, (everything.mean(), everything.std()), rtol=1e-6)


@pytest.mark.parametrize('method', ['train', 'train_scalar', 'sequence'])
def test_what_was_not_observed_does_not_count(method: str) -> None:
    store = MaskedStore([30, 20, 12], partitions=['train', 'train', 'val'])
    rng = np.random.default_rng(0)
    for name in ('v0', 'v1', 'v2'):
        mask = rng.random(store.video(name).num_frames) < 0.6
        store.masks[name, 'face'] = mask
        store.data[name, 'face'][~mask] = 1000  # whatever a network makes of a black picture
    ids = ('v2',) if method == 'sequence' else ('v0', 'v1')
    observed = np.concatenate([store.data[v, 'face'][store.masks[v, 'face']] for v in ids]).astype(np.float64)
    axis = None if method == 'train_scalar' else 0
    std = observed.std(axis=axis, ddof=1 if method == 'sequence' else 0)
    expected = (store.data['v2', 'face'] - observed.mean(axis=axis)) / std
    expected[~store.masks['v2', 'face']] = 0  # the model sees nothing there
    found = values(dataset(store, 'val', masked=True, method=method, features=['face']), 'face')
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    # without the mask all frames count, as in the reference
    plain = values(dataset(store, 'val', method=method, features=['face']), 'face')
    assert np.abs(plain[store.masks['v2', 'face']]).mean() > 0.5
    assert not np.allclose(plain, found)


def test_stores_without_a_mask_give_the_same_either_way() -> None:
    store = MemoryStore([30, 20, 9], partitions=['train', 'train', 'val'])
    for method in ('train', 'train_scalar', 'sequence'):
        masked, plain = (dataset(store, 'val', masked=m, method=method) for m in (True, False))
        np.testing.assert_array_equal(values(masked, 'face'), values(plain, 'face'))


def test_a_packed_store_knows_both_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_trials(tmp_path / 'data')
    mask = np.array([1, 1, 0, 1, 0, 1, 1], bool)
    replace(root, 'a', 'bert_valid', mask)
    store = TrialStore(root)
    packed = pack_store(store, tmp_path / 'packed')
    observed = np.concatenate([array(root, 'b', 'bert'), array(root, 'a', 'bert')[mask]])
    everything = np.concatenate([array(root, 'b', 'bert'), array(root, 'a', 'bert')])
    for here in (store, packed):
        for rows, flag in ((observed, True), (everything, False)):
            mean, std = here.moments('bert', ['b', 'a'], observed=flag)
            np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-5)
            np.testing.assert_allclose(std, rows.std(axis=0), rtol=1e-5)
            np.testing.assert_allclose(
                here.scalar_moments('bert', ['b', 'a'], observed=flag), (rows.mean(), rows.std()), rtol=1e-5
            )
    # no pass over the features, unless the store was packed before there were these sums
    kept = packed.moments('bert', ['b', 'a'], observed=True)
    monkeypatch.setattr(FeatureStore, 'summary', None)
    np.testing.assert_array_equal(PackedStore(packed.root).moments('bert', ['b', 'a'], observed=True), kept)
    monkeypatch.undo()
    (packed.root / 'observed_moments_bert.npy').unlink()
    old = PackedStore(packed.root).moments('bert', ['b', 'a'], observed=True)
    np.testing.assert_allclose(old, kept, rtol=1e-6)
    assert not (packed.root / 'observed_moments_mfcc.npy').exists()


def test_a_video_or_a_partition_without_any_observed_frame() -> None:
    store = MaskedStore([8, 9, 7], partitions=['train', 'train', 'val'])
    store.masks['v2', 'face'] = np.zeros(7, bool)
    for method in ('train', 'sequence'):  # a video without a face is legal
        found = values(dataset(store, 'val', masked=True, method=method, features=['face']), 'face')
        assert not found.any()
    store.masks |= {('v0', 'face'): np.zeros(8, bool), ('v1', 'face'): np.zeros(9, bool)}
    with pytest.raises(DataError, match=r"no mean of feature 'face': it was observed in no frame of v0, v1"):
        dataset(store, 'val', masked=True, method='train', features=['face'])


@pytest.mark.parametrize('method', ['train', 'train_scalar', 'sequence'])
def test_pictures_are_refused_and_never_read(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TrialStore(write_trials(tmp_path / 'data'))
    read: list[str] = []
    original = TrialStore._read
    monkeypatch.setattr(TrialStore, '_read', lambda *a: read.append(a[2]) or original(*a))
    with pytest.raises(ConfigError, match=r"'video' holds images, 6x6x3 uint8.* features=\[\.\.\.\]"):
        ClipDataset(
            store,
            ['video', 'bert'],
            'train',
            SEGMENTS,
            [{'type': 'LoadFeatures'}, {'type': 'Normalize', 'method': method}, {'type': 'PackVA'}],
        )
    assert read == []
    dataset(store, 'train', method=method, features=['bert'])
    assert set(read) <= {'bert'}


def test_statistics_travel_with_the_weights() -> None:
    store = MemoryStore([30, 9], partitions=['train', 'val'])
    first = dataset(store, 'val', method='train_scalar')
    store.data['v0', 'face'] += 50
    pipeline = [
        {'type': 'LoadFeatures'},
        {'type': 'Normalize', 'method': 'train_scalar'},
        {'type': 'PackVA'},
    ]
    again = ClipDataset(store, ['face', 'audio'], 'val', SEGMENTS, pipeline, fitted=first.fitted)
    np.testing.assert_array_equal(values(first, 'face'), values(again, 'face'))
    with pytest.raises(ConfigError, match='no training statistics of audio'):
        ClipDataset(
            store, ['face', 'audio'], 'val', SEGMENTS, pipeline, fitted=[{'face': first.fitted[0]['face']}]
        )
