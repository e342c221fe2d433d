from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import MemoryStore

from abawfw.datasets.clip_dataset import Clip, ClipDataset
from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.loader import build_dataloader, one_clip, transformed
from abawfw.datasets.loading.stream import collate_clips
from abawfw.datasets.stores.records import FeatureInfo
from abawfw.datasets.transforms import (
    CentreCrop,
    LabelNoise,
    LoadFeatures,
    ModalityDropout,
    Noise,
    PadTo,
    RandomCropFlip,
    ShiftLabels,
)
from abawfw.datasets.transforms.batch_transform import Generators
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


def results(frames: int = 5, store: MemoryStore | None = None) -> dict[str, Any]:
    """Results of LoadFeatures for the first clip of a video."""
    store = store or PictureStore([frames])
    return LoadFeatures()(
        {'store': store, 'video': store.infos[0], 'clip': Clip(0, 0, frames, 0), 'features': list(store.dims)}
    )


def dataset(store: MemoryStore, *transforms: dict, **kwargs: Any) -> ClipDataset:
    pipeline = [{'type': 'LoadFeatures', 'masked': True}, *transforms, {'type': 'PackVA'}]
    arguments = {'features': list(store.dims), 'clips': {'type': 'SlidingWindow', 'length': 6, 'hop': 4}}
    return ClipDataset(store, pipeline=pipeline, **({'partition': 'train'} | arguments | kwargs))


def batch_of(clips: ClipDataset, seed: int = 0, requests: list[ClipRequest] | None = None) -> dict[str, Any]:
    """A batch after its transforms, of all clips if it is not said of which."""
    requests = requests or [ClipRequest(i) for i in range(len(clips))]
    generators = Generators.on('cpu')
    generators.set_to(seed, 0, 0, 0)
    return transformed(collate_clips([clips[r] for r in requests]), clips.on_batch, 'cpu', generators)


def test_the_centre_is_cut_out_and_bytes_stay_bytes() -> None:
    before = results()['inputs']
    after = CentreCrop(['video'], 4)(results())['inputs']
    assert after['video'].dtype == np.uint8
    np.testing.assert_array_equal(after['video'], before['video'][:, 2:6, 3:7])
    np.testing.assert_array_equal(after['audio'], before['audio'])


def test_one_crop_and_one_flip_for_a_whole_clip_everywhere_and_half_of_the_time() -> None:
    clips = dataset(PictureStore([5]), {'type': 'RandomCropFlip', 'features': ['video'], 'size': 6})
    picture = results()['inputs']['video']
    places = {
        (top, left, flip): picture[:, top : top + 6, left : left + 6][:, :, :: -1 if flip else 1]
        for top in range(3)
        for left in range(5)
        for flip in (False, True)
    }
    crops = batch_of(clips, requests=[ClipRequest(0)] * 600)['inputs']['video']
    assert crops.dtype == torch.uint8
    seen = []
    for crop in crops.numpy():
        (place,) = [key for key, expected in places.items() if np.array_equal(crop, expected)]
        seen.append(place)
    counts = {place: seen.count(place) for place in places}
    assert min(counts.values()) > 5  # of 20 expected: every place, both ways
    assert 0.4 < np.mean([flip for *_, flip in seen]) < 0.6


@pytest.mark.parametrize('crop', [CentreCrop, RandomCropFlip])
def test_crops_refuse_what_is_smaller_or_no_picture(crop: type) -> None:
    for feature, size, said in (
        ('video', 9, r"size=9\): a frame of feature 'video' is \(8, 10, 3\).* 9x9"),
        ('audio', 1, r"feature 'audio' is 2, expected"),
    ):
        with pytest.raises(ConfigError, match=said):
            dataset(PictureStore([9]), {'type': crop.__name__, 'features': [feature], 'size': size})
    with pytest.raises(ConfigError, match='at least one pixel'):
        crop(['video'], 0)
    assert crop(['video']).size == 40


RANDOM = (
    {'type': 'RandomCropFlip', 'features': ['video'], 'size': 4},
    {'type': 'ModalityDropout', 'p': 0.5},
    {'type': 'Noise', 'std': 0.5, 'features': ['audio', 'bert']},
)


def test_the_model_is_told_the_size_after_the_crop() -> None:
    for crop in ('CentreCrop', 'RandomCropFlip'):
        clips = dataset(PictureStore([9]), {'type': crop, 'features': ['video'], 'size': 4})
        assert clips.input_dims == {'video': (4, 4, 3), 'audio': 2, 'bert': 3}
        assert one_clip(clips, ClipRequest(0))['inputs']['video'].shape == (1, 6, 4, 4, 3)
        assert batch_of(clips)['inputs']['video'].shape == (2, 6, 4, 4, 3)


def loader(store: MemoryStore, seed: int, rank: int = 0, workers: int = 0) -> Any:
    """Batches of two clips, the last of three ranks' fillers among them."""
    given = {
        'type': 'ClipDataset',
        'store': store,
        'features': list(store.dims),
        'partition': 'train',
        'clips': {'type': 'SlidingWindow', 'length': 6, 'hop': 4},
        'pipeline': [{'type': 'LoadFeatures', 'masked': True}, *RANDOM, {'type': 'PackVA'}],
    }
    cfg = {
        'dataset': given,
        'sampler': {'type': 'ClipSampler', 'batch_size': 2, 'shuffle': True},
        'num_workers': workers,
    }
    return build_dataloader(cfg, seed, rank, world_size=3)


def drawn(batches: Any, epoch: int, start: int = 0) -> list[list[torch.Tensor]]:
    """All that may be random of every batch of an epoch."""
    batches.batch_sampler.set_epoch(epoch, start)
    return [
        [*batch['inputs'].values(), batch['data_samples'].observed, *batch['data_samples'].tensors[4:]]
        for batch in batches
    ]


def same(one: list[list[torch.Tensor]], other: list[list[torch.Tensor]]) -> bool:
    return len(one) == len(other) and all(
        len(a) == len(b) and all(map(torch.equal, a, b)) for a, b in zip(one, other, strict=True)
    )


def test_random_transforms_depend_on_seed_epoch_batch_and_rank_alone() -> None:
    store = PictureStore([30, 12, 9, 20])
    made = loader(store, 3)
    first = drawn(made, 7)
    assert same(first, drawn(made, 7))
    assert same(first, drawn(loader(store, 3, workers=1), 7))
    assert same(first[2:], drawn(loader(store, 3), 7, start=2))  # as after a resume
    for other in (loader(store, 4), loader(store, 3, rank=1)):
        assert not same(first, drawn(other, 7))
    assert not same(first, drawn(made, 8))
    # the same clips at another place, in another epoch or on another rank
    clips = dataset(store, *RANDOM)
    generators, found = Generators.on('cpu'), []
    for place in ((3, 7, 0, 0), (4, 7, 0, 0), (3, 8, 0, 0), (3, 7, 1, 0), (3, 7, 0, 1), (3, 7, 0, 0)):
        generators.set_to(*place)
        batch = collate_clips([clips[ClipRequest(i)] for i in range(4)])
        found.append([*transformed(batch, clips.on_batch, 'cpu', generators)['inputs'].values()])
    assert same(found[:1], found[-1:])
    for inputs in found[1:-1]:
        assert not any(map(torch.equal, inputs, found[0]))


def test_fillers_stay_empty() -> None:
    store = PictureStore([30, 5])  # seven clips and a shorter one: four batches for three ranks
    ends = [list(loader(store, 0, rank))[-1] for rank in range(3)]
    fillers = [batch for batch in ends if batch['data_samples'].num_frames == [0]]
    assert len(fillers) == 2
    filler = fillers[0]
    assert not any(x.any() for x in filler['inputs'].values())
    assert filler['inputs']['video'].shape[2:] == (4, 4, 3)
    assert not filler['data_samples'].observed.any()


def test_masks_on_host_and_device_agree_and_what_is_hidden_is_zero() -> None:
    store = PictureStore([30, 12])
    store.masks['v0', 'audio'] = np.arange(30) % 3 > 0
    store.masks['v1', 'bert'] = np.zeros(12, dtype=bool)
    clips = dataset(store, *RANDOM, {'type': 'PadTo', 'length': 8})
    changed = 0
    for seed in range(20):
        batch = batch_of(clips, seed)
        record = batch['data_samples']
        assert not (record.observed & ~record.valid[..., None]).any()
        for column, (name, x) in enumerate(batch['inputs'].items()):
            seen = record.observed[..., column]
            at = record.observed_at[column]
            expected = seen.flatten().nonzero()[:, 0]
            assert torch.equal(torch.arange(seen.numel()) if at is None else at, expected)
            assert torch.equal(x.flatten(2).any(dim=2), seen), name  # no pixel is 0, no noise either
            changed += int((~seen & record.valid).sum())
    assert changed > 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 0.99), st.sets(st.sampled_from(['video', 'audio', 'bert'])))
def test_a_modality_always_stays(seed: int, p: float, missing: set[str]) -> None:
    store = PictureStore([5, 5])
    for name in missing:
        store.masks['v0', name] = np.zeros(5, dtype=bool)
    partly = next((name for name in ('bert', 'audio', 'video') if name not in missing), None)
    if partly:
        store.masks['v0', partly] = np.arange(5) != 2
    plain = batch_of(dataset(store))['data_samples'].observed
    after = batch_of(dataset(store, {'type': 'ModalityDropout', 'p': p}), seed)['data_samples'].observed
    for row in range(2):
        for column in range(3):
            mask = after[row, :, column]
            assert not mask.any() or torch.equal(mask, plain[row, :, column])  # whole modalities
    assert bool(after[0].any()) == (len(missing) < 3)
    assert after[1].any()


def shown(p: float, features: list[str] | None, clips: int) -> np.ndarray:
    """Which modalities of each clip of a batch are observed at all, (clips, 3)."""
    given = {'type': 'ModalityDropout', 'p': p, 'features': features}
    batch = batch_of(dataset(PictureStore([2]), given), requests=[ClipRequest(0)] * clips)
    return batch['data_samples'].observed.any(dim=1).numpy()


def test_modalities_go_with_the_given_probability_and_no_other() -> None:
    gone = ~shown(0.3, ['video', 'audio'], 4000)
    assert not gone[:, 2].any()
    assert abs(gone[:, 0].mean() - 0.3) < 0.03
    assert abs(gone[:, 1].mean() - 0.3) < 0.03
    assert abs((gone[:, 0] & gone[:, 1]).mean() - 0.09) < 0.02  # independent of one another
    # of three that would all go, any one is kept; with 0.9 alone is left 0.9^3 + 3 x 0.9^2 x 0.1 = 0.972
    kept = shown(0.9, None, 3000)
    alone = kept[kept.sum(axis=1) == 1]
    assert abs(len(alone) / len(kept) - 0.972) < 0.02
    assert (abs(alone.mean(axis=0) - 1 / 3) < 0.04).all()


def test_dropped_modalities_reach_the_model_as_not_observed_zeros() -> None:
    clips = dataset(PictureStore([6]), {'type': 'ModalityDropout', 'p': 0.6})
    batch = batch_of(clips, requests=[ClipRequest(0)] * 30)
    observed = batch['data_samples'].observed
    assert observed.any(dim=2).all()
    assert not observed.all()
    for column, name in enumerate(('video', 'audio', 'bert')):
        assert torch.equal(observed[:, 0, column], batch['inputs'][name].flatten(1).any(dim=1))


@pytest.mark.parametrize('p', [-0.1, 1, 2])
def test_a_probability_that_is_none_is_refused(p: float) -> None:
    with pytest.raises(ConfigError, match='p='):
        ModalityDropout(p)


def test_noise_has_the_given_deviation_and_leaves_other_features_alone() -> None:
    store = MemoryStore([4000], {'audio': (5,), 'bert': (3,)})
    before = results(4000, store)['inputs']
    whole = {'clips': {'type': 'Segments', 'length': 4000}}
    clips = dataset(store, {'type': 'Noise', 'std': 0.25, 'features': ['audio']}, **whole)
    after = batch_of(clips)['inputs']
    noise = after['audio'][0].double().numpy() - before['audio']
    assert after['audio'].dtype == torch.float32
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 0.25) < 0.01
    assert abs(np.mean(noise**4) / noise.var() ** 2 - 3) < 0.2  # as of the normal distribution
    assert abs(np.corrcoef(noise[1:, 0], noise[:-1, 0])[0, 1]) < 0.06
    assert abs(np.corrcoef(noise[:, 0], noise[:, 1])[0, 1]) < 0.06
    np.testing.assert_array_equal(after['bert'][0], before['bert'])
    np.testing.assert_array_equal(store.data['v0', 'audio'], before['audio'])


def test_noise_makes_float32_of_float16() -> None:
    store = MemoryStore([400], {'audio': (5,)})
    store.data['v0', 'audio'] = store.data['v0', 'audio'].astype(np.float16)
    clips = dataset(store, {'type': 'Noise', 'std': 0.001}, clips={'type': 'Segments', 'length': 400})
    after = batch_of(clips)['inputs']['audio'][0].numpy()
    assert after.dtype == np.float32
    assert 0 < abs(after - store.data['v0', 'audio'].astype(np.float32)).max() < 0.01


def test_noise_on_bytes_or_of_no_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="'video' holds bytes"):
        batch_of(dataset(PictureStore([6]), {'type': 'Noise', 'std': 0.1, 'features': ['video']}))
    for std in (-1, np.nan):
        with pytest.raises(ConfigError, match='std='):
            Noise(std)


def test_noise_of_labels_has_the_given_deviation_and_stays_within_their_range() -> None:
    store = MemoryStore([4000], {'audio': (5,)})
    given = np.stack([np.full(4000, -0.1), np.full(4000, 0.9)], axis=1).astype(np.float32)
    given[::10] = np.nan
    store.va['v0'] = given
    whole = {'clips': {'type': 'Segments', 'length': 4000}}
    clips = dataset(store, {'type': 'LabelNoise', 'std': 0.2}, {'type': 'PadTo', 'length': 4010}, **whole)
    batches = [batch_of(clips, seed) for seed in (0, 0, 1)]
    labels, again, other = (batch['data_samples'].gt_va[0] for batch in batches)
    assert torch.equal(labels.nan_to_num(9), again.nan_to_num(9))
    assert not torch.equal(labels.nan_to_num(9), other.nan_to_num(9))
    np.testing.assert_array_equal(labels[:4000].isnan(), np.isnan(given))
    assert labels[4000:].isnan().all()
    noise = labels[:4000, 0].double().numpy()[~np.isnan(given[:, 0])] + 0.1
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 0.2) < 0.01
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.06
    assert labels[:4000, 1].nan_to_num(0).max() == 1
    assert abs((labels[:4000, 1] == 1).double().mean() / 0.9 - 0.3085) < 0.03  # half a deviation above
    assert torch.equal(batches[0]['inputs']['audio'][0, :4000], torch.from_numpy(store.data['v0', 'audio']))
    np.testing.assert_array_equal(store.va['v0'], given)
    for std in (-1, np.nan):
        with pytest.raises(ConfigError, match='std='):
            LabelNoise(std)


CROP, NOISE = RANDOM[0], {'type': 'Noise', 'std': 1.0, 'features': ['audio']}


@pytest.mark.parametrize(
    ('drawing', 'later', 'refused'),
    [
        (NOISE, {'type': 'Normalize', 'method': 'sequence', 'features': ['audio']}, True),
        (NOISE, {'type': 'Normalize', 'method': 'sequence', 'features': ['bert']}, False),
        (CROP, {'type': 'CentreCrop', 'features': ['video'], 'size': 4}, True),
        (CROP, {'type': 'Normalize', 'method': 'sequence', 'features': ['audio', 'bert']}, False),
        (RANDOM[1], {'type': 'Normalize', 'method': 'sequence', 'features': ['audio', 'bert']}, False),
        (NOISE, {'type': 'PadTo', 'length': 6}, False),
        (NOISE, {'type': 'ShiftLabels', 'frames': 1}, False),
        (NOISE, {'type': 'LoadFeatures'}, True),
        (NOISE, CROP, False),
    ],
)
def test_what_would_see_what_was_drawn_may_not_stand_behind_it(
    drawing: dict, later: dict, refused: bool
) -> None:
    store = PictureStore([9])
    if refused:
        with pytest.raises(
            ConfigError,
            match=f'{later["type"]} stands behind {drawing["type"]}.*put {later["type"]} before it',
        ):
            dataset(store, drawing, later)
        dataset(store, later, drawing)
    else:  # the same as where the order is the other way round
        ways = [batch_of(dataset(store, *pair)) for pair in ((drawing, later), (later, drawing))]
        if later is not CROP:
            assert same(*([[*way['inputs'].values(), way['data_samples'].observed]] for way in ways))


def test_what_draws_may_not_stand_where_nothing_is_trained() -> None:
    store = MemoryStore([6], partitions=['val'])
    with pytest.raises(ConfigError, match='pipeline: LabelNoise: what draws at random is for training'):
        dataset(store, {'type': 'LabelNoise', 'std': 0.1}, partition='val')


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
