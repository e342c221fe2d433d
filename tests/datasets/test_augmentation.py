from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import MemoryStore

from abawfw.datasets.clip_dataset import Clip, ClipDataset
from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.stores.records import FeatureInfo
from abawfw.datasets.transforms import (
    CentreCrop,
    LoadFeatures,
    ModalityDropout,
    Noise,
    PadTo,
    RandomCropFlip,
    ShiftLabels,
)
from abawfw.errors import ConfigError


class PictureStore(MemoryStore):
    """Videos of pictures (8x10x3, bytes) and of vectors."""

    def __init__(self, lengths: list[int]) -> None:
        super().__init__(lengths, {'video': (8, 10, 3), 'audio': (2,), 'bert': (3,)})
        rng = np.random.default_rng(1)
        for info in self.infos:
            shape = (info.num_frames, 8, 10, 3)
            self.data[info.video_id, 'video'] = rng.integers(1, 255, shape, dtype=np.uint8)

    def features(self) -> dict[str, FeatureInfo]:
        return super().features() | {'video': FeatureInfo((8, 10, 3), 'uint8')}


def results(seed: int = 0, frames: int = 5, store: MemoryStore | None = None, **extra: Any) -> dict[str, Any]:
    """Results of LoadFeatures for the first clip of a video."""
    store = store or PictureStore([frames])
    loaded = LoadFeatures()(
        {'store': store, 'video': store.infos[0], 'clip': Clip(0, 0, frames, 0), 'features': list(store.dims)}
    )
    return loaded | {'rng': functools.cache(lambda: np.random.default_rng(seed))} | extra


def test_the_centre_is_cut_out_and_bytes_stay_bytes() -> None:
    before = results()['inputs']
    after = CentreCrop(['video'], 4)(results())['inputs']
    assert after['video'].dtype == np.uint8
    np.testing.assert_array_equal(after['video'], before['video'][:, 2:6, 3:7])
    np.testing.assert_array_equal(after['audio'], before['audio'])


def test_one_crop_and_one_flip_for_a_whole_clip_everywhere_and_half_of_the_time() -> None:
    picture = results()['inputs']['video']
    places = {
        (top, left, flip): picture[:, top : top + 6, left : left + 6][:, :, :: -1 if flip else 1]
        for top in range(3)
        for left in range(5)
        for flip in (False, True)
    }
    seen = []
    for seed in range(600):
        crop = RandomCropFlip(['video'], 6)(results(seed))['inputs']['video']
        assert crop.dtype == np.uint8
        (place,) = [key for key, expected in places.items() if np.array_equal(crop, expected)]
        seen.append(place)
    counts = {place: seen.count(place) for place in places}
    assert min(counts.values()) > 5  # of 20 expected: every place, both ways
    assert 0.4 < np.mean([flip for *_, flip in seen]) < 0.6


@pytest.mark.parametrize('crop', [CentreCrop, RandomCropFlip])
def test_crops_refuse_what_is_smaller_or_no_picture(crop: type) -> None:
    with pytest.raises(ConfigError, match=r"size=9\): a frame of feature 'video' is \(8, 10, 3\).* 9x9"):
        crop(['video'], 9)(results())
    with pytest.raises(ConfigError, match=r"feature 'audio' is \(2,\)"):
        crop(['audio'], 1)(results())
    with pytest.raises(ConfigError, match='at least one pixel'):
        crop(['video'], 0)
    assert crop(['video']).size == 40


def dataset(store: MemoryStore, *transforms: dict, **kwargs: Any) -> ClipDataset:
    pipeline = [{'type': 'LoadFeatures'}, *transforms, {'type': 'PackVA'}]
    arguments = {'features': list(store.dims), 'clips': {'type': 'SlidingWindow', 'length': 6, 'hop': 4}}
    return ClipDataset(store, partition='train', pipeline=pipeline, **(arguments | kwargs))


RANDOM = (
    {'type': 'RandomCropFlip', 'features': ['video'], 'size': 4},
    {'type': 'ModalityDropout', 'p': 0.5},
    {'type': 'Noise', 'std': 0.5, 'features': ['audio', 'bert']},
)


def test_the_model_is_told_the_size_after_the_crop() -> None:
    for crop in ('CentreCrop', 'RandomCropFlip'):
        clips = dataset(PictureStore([9]), {'type': crop, 'features': ['video'], 'size': 4})
        assert clips.input_dims == {'video': (4, 4, 3), 'audio': 2, 'bert': 3}
        assert clips[ClipRequest(0)]['inputs']['video'].shape == (6, 4, 4, 3)
        with pytest.raises(ConfigError, match=r"'video' is \(8, 10, 3\)"):
            dataset(PictureStore([9]), {'type': crop, 'features': ['video'], 'size': 9})


def test_random_transforms_depend_on_seed_epoch_and_clip_alone() -> None:
    store = PictureStore([30, 12])

    def items(seed: int, epoch: int) -> list[torch.Tensor]:
        clips = dataset(store, *RANDOM)
        clips.seed = seed
        order = np.random.default_rng().permutation(len(clips))
        made = {i: clips[ClipRequest(int(i), epoch=epoch)] for i in order}
        return [
            x
            for i in range(len(clips))
            for x in (*made[i]['inputs'].values(), made[i]['data_sample'].observed)
        ]

    first = items(3, 7)
    assert all(torch.equal(a, b) for a, b in zip(first, items(3, 7), strict=True))
    for seed, epoch in ((4, 7), (3, 8)):
        assert not all(torch.equal(a, b) for a, b in zip(first, items(seed, epoch), strict=True))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 0.99), st.sets(st.sampled_from(['video', 'audio', 'bert'])))
def test_a_modality_always_stays(seed: int, p: float, missing: set[str]) -> None:
    before = results(seed)
    for name in missing:
        before['observed'][name][:] = False
    partly = next((name for name in ('bert', 'audio', 'video') if name not in missing), None)
    if partly:
        before['observed'][partly][2] = False
    expected = {name: mask.copy() for name, mask in before['observed'].items()}
    dropout = ModalityDropout(p)
    dropout.features = ['video', 'audio', 'bert']
    after = dropout(before)['observed']
    for name, mask in after.items():
        assert not mask.any() or np.array_equal(mask, expected[name])  # whole modalities
    assert any(mask.any() for mask in after.values()) == (len(missing) < 3)


def test_modalities_go_with_the_given_probability_and_no_other() -> None:
    dropout = ModalityDropout(0.3, ['video', 'audio'])
    masks = [dropout(results(seed, frames=2))['observed'] for seed in range(800)]
    gone = {name: np.mean([not m[name].any() for m in masks]) for name in ('video', 'audio', 'bert')}
    assert gone['bert'] == 0
    assert abs(gone['video'] - 0.3) < 0.05
    assert abs(gone['audio'] - 0.3) < 0.05
    both = np.mean([not m['video'].any() and not m['audio'].any() for m in masks])
    assert abs(both - 0.09) < 0.03  # independent of one another
    # of two that would both go, either one is kept
    dropout = ModalityDropout(0.9, ['video', 'audio', 'bert'])
    kept = [
        tuple(n for n, x in dropout(results(seed, frames=2))['observed'].items() if x.any())
        for seed in range(300)
    ]
    alone = [names[0] for names in kept if len(names) == 1]
    assert {name: alone.count(name) > 50 for name in ('video', 'audio', 'bert')} == dict.fromkeys(
        ('video', 'audio', 'bert'), True
    )


def test_dropped_modalities_reach_the_model_as_not_observed_zeros() -> None:
    store = PictureStore([6])
    clips = dataset(store, {'type': 'ModalityDropout', 'p': 0.6})
    for epoch in range(8):
        item = clips[ClipRequest(0, epoch=epoch)]
        observed = item['data_sample'].observed
        assert observed.any()
        for column, name in enumerate(('video', 'audio', 'bert')):
            assert bool(observed[0, column]) == bool(item['inputs'][name].any())


@pytest.mark.parametrize('p', [-0.1, 1, 2])
def test_a_probability_that_is_none_is_refused(p: float) -> None:
    with pytest.raises(ConfigError, match='p='):
        ModalityDropout(p)


def test_noise_has_the_given_deviation_and_leaves_other_features_alone() -> None:
    store = MemoryStore([4000], {'audio': (5,), 'bert': (3,)})
    before = results(frames=4000, store=store)['inputs']
    after = Noise(0.25, ['audio'])(results(frames=4000, store=store))['inputs']
    noise = after['audio'].astype(np.float64) - before['audio']
    assert after['audio'].dtype == np.float32
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 0.25) < 0.01
    assert abs(np.corrcoef(noise[1:, 0], noise[:-1, 0])[0, 1]) < 0.06
    np.testing.assert_array_equal(after['bert'], before['bert'])
    assert store.data['v0', 'audio'] is not after['audio']
    np.testing.assert_array_equal(store.data['v0', 'audio'], before['audio'])


def test_noise_on_bytes_or_of_no_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="'video' holds bytes"):
        Noise(0.1, ['video'])(results())
    for std in (-1, np.nan):
        with pytest.raises(ConfigError, match='std='):
            Noise(std)


def test_padding_is_nothing_that_was_observed_valid_or_labelled() -> None:
    before = results()
    after = PadTo(8)(results())
    for name, values in after['inputs'].items():
        assert values.dtype == before['inputs'][name].dtype
        np.testing.assert_array_equal(values[:5], before['inputs'][name])
        assert values.shape[0] == 8
        assert not values[5:].any()
        assert after['observed'][name].tolist() == [True] * 5 + [False] * 3
    assert after['valid'].tolist() == [True] * 5 + [False] * 3
    np.testing.assert_array_equal(after['gt_va'][:5], before['gt_va'])
    assert np.isnan(after['gt_va'][5:]).all()
    assert after['gt_va'].dtype == np.float32


def test_padded_clips_keep_their_number_of_frames() -> None:
    clips = dataset(PictureStore([9, 4]), {'type': 'PadTo', 'length': 6})
    samples = [clips[ClipRequest(i)]['data_sample'] for i in range(len(clips))]
    assert [(len(s.valid), s.num_frames, int(s.valid.sum())) for s in samples] == [
        (6, 6, 6),
        (6, 6, 6),
        (6, 4, 4),
    ]


def test_a_clip_that_is_longer_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"PadTo\(length=4\): a clip of video 'v0' has 5 frames"):
        PadTo(4)(results())
    with pytest.raises(ConfigError, match='length=0'):
        PadTo(0)


@given(st.integers(1, 12), st.integers(0, 20))
def test_labels_shifted_within_the_window_repeat_its_last_label(length: int, frames: int) -> None:
    store = MemoryStore([30])
    clip = Clip(0, 5, 5 + length, 1)
    loaded = LoadFeatures()({'store': store, 'video': store.infos[0], 'clip': clip, 'features': ['face']})
    window = store.va['v0'][5 : 5 + length]
    shifted = ShiftLabels(frames, within='window')(loaded)['gt_va']
    # what the reference does where the lag is shorter than the window
    expected = np.concatenate([window[frames:], np.repeat(window[-1:], min(frames, length), axis=0)])
    np.testing.assert_array_equal(shifted, expected)


def test_labels_are_shifted_before_clips_are_padded() -> None:
    with pytest.raises(ConfigError, match='clip of 5 frames was padded to 9'):
        ShiftLabels(2)(PadTo(9)(results()))
    with pytest.raises(ConfigError, match="within='clip'"):
        ShiftLabels(1, within='clip')
