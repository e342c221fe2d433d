from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from memory_store import PIPELINE, MemoryStore

from abawfw.datasets.clip_dataset import Clip, ClipDataset
from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.loader import build_dataloader
from abawfw.datasets.loading.stream import collate_clips
from abawfw.datasets.stores.records import VideoInfo
from abawfw.errors import ConfigError, DataError
from abawfw.registry import DATASETS, TRANSFORMS

SEGMENTS = {'type': 'Segments', 'length': 4}


def build(store: MemoryStore, **kwargs: Any) -> ClipDataset:
    arguments = {'features': ['face'], 'partition': 'train', 'clips': SEGMENTS, 'pipeline': PIPELINE} | kwargs
    return ClipDataset(store, **arguments)


def test_clips_follow_the_order_of_the_store():
    store = MemoryStore([9, 3, 4], partitions=['train', 'val', 'train'])
    dataset = build(store)
    assert [v.video_id for v in dataset.videos] == ['v0', 'v2']
    assert dataset.clips == [Clip(0, 0, 4, 0), Clip(0, 4, 8, 1), Clip(0, 8, 9, 2), Clip(1, 0, 4, 0)]
    assert len(dataset) == 4


def test_a_clip_holds_its_frames_labels_and_origin():
    store = MemoryStore([9], dims={'face': (3,), 'audio': (2,), 'pixels': (2, 2, 3)})
    dataset = build(store, features=['audio', 'pixels'])
    assert list(dataset.input_dims.items()) == [('audio', 2), ('pixels', (2, 2, 3))]

    item = dataset[ClipRequest(1, lane=3, epoch=2)]
    assert list(item['inputs']) == ['audio', 'pixels']
    for feature, values in item['inputs'].items():
        assert values.dtype == torch.float32
        np.testing.assert_array_equal(values, store.data['v0', feature][4:8])
    sample = item['data_sample']
    np.testing.assert_array_equal(sample.gt_va, store.va['v0'][4:8])
    assert sample.valid.tolist() == [True] * 4
    assert (sample.video_id, sample.start, sample.num_frames, sample.video_length) == ('v0', 4, 4, 9)
    assert (sample.lane, sample.starts_video) == (3, False)
    assert dataset[ClipRequest(0)]['data_sample'].starts_video
    assert dataset[ClipRequest(2)]['data_sample'].num_frames == 1


def test_a_sample_can_be_changed_without_changing_the_store():
    store = MemoryStore([4])
    before = store.data['v0', 'face'].copy()
    build(store)[ClipRequest(0)]['inputs']['face'].zero_()
    np.testing.assert_array_equal(store.data['v0', 'face'], before)


def test_the_test_partition_needs_no_labels():
    item = build(MemoryStore([5], partitions=['test']), partition='test')[ClipRequest(0)]
    assert item['data_sample'].gt_va.isnan().all()
    assert item['data_sample'].valid.all()


@pytest.mark.parametrize('dtype', [np.float16, np.uint8])
def test_compact_types_on_disk_stay_as_they_are(dtype: type):
    store = MemoryStore([4])
    store.data['v0', 'face'] = np.arange(12).reshape(4, 3).astype(dtype)
    values = build(store)[ClipRequest(0)]['inputs']['face']
    np.testing.assert_array_equal(values, np.arange(12).reshape(4, 3))
    assert values.numpy().dtype == dtype


def test_a_filler_keeps_the_shapes_but_holds_nothing():
    item = build(MemoryStore([6]))[ClipRequest(0, epoch=1, filler=True)]
    sample = item['data_sample']
    assert item['inputs']['face'].shape == (4, 3)
    assert not item['inputs']['face'].any()
    assert sample.gt_va.isnan().all()
    assert not sample.valid.any()
    assert (sample.num_frames, sample.starts_video) == (0, False)


class ArraysAtHand(MemoryStore):
    """Hands out what it keeps, to be written to."""

    def _read(self, video: VideoInfo, feature: str, start: int, stop: int) -> np.ndarray:
        return self.data[video.video_id, feature][start:stop]


def test_a_filler_leaves_the_data_of_a_store_in_memory():
    store = ArraysAtHand([6])
    kept = {key: values.copy() for key, values in store.data.items()}
    labels = store.va['v0'].copy()
    build(store)[ClipRequest(0, filler=True)]
    for key, values in kept.items():
        np.testing.assert_array_equal(store.data[key], values)
    np.testing.assert_array_equal(store.va['v0'], labels)


def test_errors_name_what_is_wrong_and_the_nearest_right_name():
    store = MemoryStore([4, 4], partitions=['train', 'val'])
    with pytest.raises(DataError, match="no feature 'fase'; did you mean 'face'"):
        build(store, features=['fase'])
    with pytest.raises(DataError, match=r"partition 'test'; the store has train \(1\), val \(1\)"):
        build(store, partition='test')
    with pytest.raises(DataError, match="'v1' has no frames"):
        build(MemoryStore([4, 0]))
    with pytest.raises(ConfigError, match='at least one feature'):
        build(store, features=[])
    with pytest.raises(ConfigError, match='named twice in `features`: face'):
        build(store, features=['face', 'audio', 'face'])
    normalize = {'type': 'Normalize', 'method': 'train', 'features': ['audio']}
    with pytest.raises(ConfigError, match=r"Normalize.*'audio' is not loaded"):
        build(store, pipeline=[PIPELINE[0], normalize, PIPELINE[1]])


def test_fit_sees_the_training_videos_of_the_fold_once():
    seen = []

    class Fitted:
        def fit(self, store: Any, videos: Any) -> None:
            seen.append([v.video_id for v in videos])

        def __call__(self, results: dict) -> dict:
            return results

    TRANSFORMS.register_module(module=Fitted)
    try:
        store = MemoryStore([4, 4, 4], partitions=['train', 'val', 'train'])
        build(store, partition='val', pipeline=[{'type': 'Fitted'}, *PIPELINE])
    finally:
        TRANSFORMS.module_dict.pop('Fitted')
    assert seen == [['v0', 'v2']]


def test_building_makes_no_pass_over_the_data(monkeypatch: pytest.MonkeyPatch):
    store = MemoryStore([2500] * 600, dims={'face': (1,)})
    monkeypatch.setattr(MemoryStore, '_read', None)
    monkeypatch.setattr(MemoryStore, '_labels', None)
    cfg = {'features': ['face'], 'partition': 'train', 'clips': SEGMENTS, 'pipeline': PIPELINE}
    assert len(DATASETS.build({'type': 'ClipDataset', 'store': store, **cfg})) == 600 * 625


def test_a_batch_is_padded_to_its_longest_clip_only():
    dataset = build(MemoryStore([6, 3]), features=['face', 'audio'])
    items = [dataset[ClipRequest(i)] for i in (1, 2)]  # 2 frames of v0, 3 of v1
    batch = collate_clips([dataset[ClipRequest(i)] for i in (1, 2)])
    assert {f: tuple(x.shape) for f, x in batch['inputs'].items()} == {'face': (2, 3, 3), 'audio': (2, 3, 2)}
    record = batch['data_samples']
    assert (record.gt_va.dtype, record.valid.dtype) == (torch.float32, torch.bool)
    assert record.starts.tolist() == record.starts_video
    for row, item in enumerate(items):
        sample = item['data_sample']
        n = sample.num_frames
        for feature, values in item['inputs'].items():
            assert torch.equal(batch['inputs'][feature][row, :n], values)
            assert not batch['inputs'][feature][row, n:].any()
        assert torch.equal(record.gt_va[row, :n], sample.gt_va)
        assert record.gt_va[row, n:].isnan().all()
        assert record.valid[row].tolist() == [True] * n + [False] * (3 - n)
        for name in ('video_id', 'start', 'num_frames', 'video_length', 'lane', 'starts_video'):
            assert getattr(record, name)[row] == getattr(sample, name)


def masked_store() -> MemoryStore:
    store = MemoryStore([6, 5])
    store.masks['v0', 'face'] = np.array([True, False, True, True, True, False])
    return store


def test_missing_faces_are_marked_and_zeroed_where_asked_for():
    store, both = masked_store(), {'features': ['audio', 'face']}
    masked = build(store, **both, pipeline=[{'type': 'LoadFeatures', 'masked': True}, {'type': 'PackVA'}])
    plain = build(store, **both)
    item, whole = masked[ClipRequest(0)], plain[ClipRequest(0)]
    assert item['data_sample'].observed.tolist() == [[True, True], [True, False], [True, True], [True, True]]
    assert item['data_sample'].valid.all()
    assert not item['inputs']['face'][1].any()
    np.testing.assert_array_equal(item['inputs']['face'][[0, 2, 3]], store.data['v0', 'face'][[0, 2, 3]])
    np.testing.assert_array_equal(item['inputs']['audio'], store.data['v0', 'audio'][:4])
    np.testing.assert_array_equal(whole['inputs']['face'], store.data['v0', 'face'][:4])
    assert whole['data_sample'].observed.all()


@pytest.mark.parametrize('workers', [0, 1])
def test_masks_arrive_in_a_batch(workers: int):
    store = masked_store()
    cfg = {
        'dataset': {
            'type': 'ClipDataset',
            'store': store,
            'features': ['face'],
            'partition': 'train',
            'clips': SEGMENTS,
            'pipeline': [{'type': 'LoadFeatures', 'masked': True}, {'type': 'PackVA'}],
        },
        'sampler': {'type': 'ClipSampler', 'batch_size': 4, 'shuffle': False},
        'num_workers': workers,
    }
    loader = build_dataloader(cfg, seed=0, rank=0, world_size=1)
    loader.batch_sampler.set_epoch(0)
    record = next(iter(loader))['data_samples']
    found = zip(record.video_id, record.start, record.observed[..., 0].tolist(), strict=True)
    assert record.observed_at[0].tolist() == record.observed.flatten().nonzero()[:, 0].tolist()
    assert {(video, start): observed for video, start, observed in found} == {
        ('v0', 0): [True, False, True, True],
        ('v0', 4): [True, False, False, False],  # its second frame has no face, the last two do not exist
        ('v1', 0): [True, True, True, True],
        ('v1', 4): [True, False, False, False],
    }


def test_debug_takes_the_first_videos_of_each_partition():
    store = MemoryStore([4, 4, 4, 4, 4], partitions=['train', 'val', 'train', 'val', 'train'])
    normalize = [{'type': 'LoadFeatures'}, {'type': 'Normalize', 'method': 'train'}, {'type': 'PackVA'}]
    dataset = build(store, debug=2, pipeline=normalize)
    assert [v.video_id for v in dataset.videos] == ['v0', 'v2']
    both = np.concatenate([store.data['v0', 'face'], store.data['v2', 'face']])
    np.testing.assert_allclose(dataset.fitted[0]['face'][0], both.mean(0), rtol=1e-5)
    assert [v.video_id for v in build(store, partition='val', debug=1).videos] == ['v1']
    with pytest.raises(ConfigError, match=r'debug=0.*1 or more'):
        build(store, debug=0)


def test_optional_features_may_be_absent():
    store = MemoryStore([4])
    dataset = build(store, features=['face', 'voice', 'audio'], optional=['voice'])
    assert list(dataset.input_dims) == ['face', 'audio']
    assert list(dataset[ClipRequest(0)]['inputs']) == ['face', 'audio']
    normalize = {'type': 'Normalize', 'method': 'train', 'features': ['voice', 'audio']}
    pipeline = [PIPELINE[0], normalize, PIPELINE[1]]
    dataset = build(store, features=['face', 'voice', 'audio'], optional=['voice'], pipeline=pipeline)
    assert list(dataset.fitted[0]) == ['audio']
    with pytest.raises(DataError, match="no feature 'voice'"):
        build(store, features=['face', 'voice'], optional=['face'])
    with pytest.raises(ConfigError, match="optional='voice' is not loaded"):
        build(store, features=['face'], optional=['voice'])


def test_what_was_fitted_to_another_pipeline():
    fitted = build(
        MemoryStore([4]), pipeline=[*PIPELINE[:1], {'type': 'Normalize', 'method': 'train'}, PIPELINE[1]]
    ).fitted
    with pytest.raises(ConfigError, match=r'0 transforms that are fitted.*of 1'):
        build(MemoryStore([4]), fitted=fitted)


@pytest.mark.parametrize('wrong', [0, -1, 1.5, True, '2'])
def test_debug_is_a_number_of_videos(wrong: Any):
    with pytest.raises(
        ConfigError, match=rf'debug={re.escape(repr(wrong))}\): a number of videos, 1 or more'
    ):
        build(MemoryStore([4]), debug=wrong)


def test_debug_takes_so_many_of_each_of_six_folds():
    """docs/tagf.md, Data: only n trials per fold; here five ranges of two train and three validate."""
    store = MemoryStore([4] * 13, partitions=['train'] * 10 + ['val'] * 3)
    split = {'type': 'RolledKFold', 'fold': 0}
    assert [v.video_id for v in build(store, split=split, debug=1).videos] == ['v0', 'v2', 'v4', 'v6', 'v8']
    validate = build(store, split=split, partition='val', debug=2)
    assert [v.video_id for v in validate.videos] == ['v10', 'v11']
    rolled = build(store, split={'type': 'RolledKFold', 'fold': 1}, debug=2)
    assert [v.video_id for v in rolled.videos] == ['v10', 'v11', *(f'v{i}' for i in range(8))]


def test_statistics_of_a_run_that_had_no_transform_where_one_acts_on_nothing():
    store = MemoryStore([4])
    loads, packs = {'type': 'LoadFeatures'}, {'type': 'PackVA'}
    idle, active = ({'type': 'Normalize', 'method': 'train', 'features': f} for f in ([], ['face']))
    build(store, pipeline=[loads, idle, packs], fitted=[])
    build(store, pipeline=[loads, idle, packs], fitted=[{}])
    statistics = {'face': (np.float32(1), np.float32(2))}
    dataset = build(store, pipeline=[loads, idle, active, packs], fitted=[statistics])
    assert [step.keys() for step in dataset.fitted] == [set(), {'face'}]
    with pytest.raises(ConfigError, match='1 transforms that are fitted to training videos, and the checkpo'):
        build(store, pipeline=[loads, active, packs], fitted=[])
