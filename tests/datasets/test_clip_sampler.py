from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from segmented import clips_of

from abawfw.datasets.demo.signals import affwild2_lengths
from abawfw.datasets.samplers import ClipSampler
from abawfw.datasets.transforms import PadTo
from abawfw.errors import ConfigError
from benchmarks.train import useful_share

MANY = clips_of(range(1, 60), 4)

setups = st.fixed_dictionaries(
    {
        'lengths': st.lists(st.integers(1, 30), min_size=1, max_size=15),
        'segment': st.integers(1, 12),
        'batch_size': st.integers(1, 5),
        'world_size': st.integers(1, 3),
        'shuffle': st.booleans(),
        'seed': st.integers(0, 9),
        'epoch': st.integers(0, 9),
    }
)


@given(setups)
def test_every_clip_comes_once_over_all_ranks(setup: dict[str, Any]):
    dataset = clips_of(setup.pop('lengths'), setup.pop('segment'))
    epoch = setup.pop('epoch')
    everywhere = []
    for rank in range(setup['world_size']):
        sampler = ClipSampler(dataset, rank=rank, **setup)
        sampler.set_epoch(epoch)
        everywhere.append(list(sampler))
        assert len(sampler) == len(everywhere[-1])
    real = [b for batches in everywhere for b in batches if not b[0].filler]
    assert Counter(q.clip for batch in real for q in batch) == Counter(range(len(dataset.clips)))
    assert all(q.epoch == epoch and q.lane == 0 and not q.filler for batch in real for q in batch)

    counts = {len(batches) for batches in everywhere}
    fillers = [b for batches in everywhere for b in batches if b[0].filler]
    assert len(counts) == 1 if setup['shuffle'] else not fillers
    assert len(fillers) < setup['world_size']
    assert all(len(batch) == 1 for batch in fillers)


@given(setups)
def test_no_batch_computes_more_frames_than_one_of_the_longest_clips(setup: dict[str, Any]):
    dataset = clips_of(setup.pop('lengths'), setup.pop('segment'))
    setup.pop('epoch')
    lengths = [clip.stop - clip.start for clip in dataset.clips]
    sampler = ClipSampler(dataset, **setup)
    for batch in sampler:
        rows = [lengths[q.clip] for q in batch]
        assert len(rows) * max(rows) <= setup['batch_size'] * max(lengths)


@given(setups, st.integers(1, 20))
def test_padded_clips_count_as_long_as_they_become(setup: dict[str, Any], padded: int):
    dataset = clips_of(setup.pop('lengths'), setup.pop('segment'))
    setup.pop('epoch')
    dataset.pipeline = [PadTo(1), PadTo(padded)]
    lengths = [max(clip.stop - clip.start, padded) for clip in dataset.clips]
    for batch in ClipSampler(dataset, **setup):
        rows = [lengths[q.clip] for q in batch]
        assert len(rows) * max(rows) <= setup['batch_size'] * max(lengths)


@given(setups, st.data())
def test_batches_depend_on_seed_and_epoch_only_and_can_start_anywhere(
    setup: dict[str, Any], data: st.DataObject
):
    dataset = clips_of(setup.pop('lengths'), setup.pop('segment'))
    epoch = setup.pop('epoch')
    fresh, used = ClipSampler(dataset, **setup), ClipSampler(dataset, **setup)
    fresh.set_epoch(epoch)
    batches = list(fresh)
    for other in range(3):
        used.set_epoch(other)
        list(used)
    start = data.draw(st.integers(0, len(batches)))
    used.set_epoch(epoch, start)
    assert list(used) == batches[start:]
    assert len(used) == len(batches)


def test_training_epochs_and_seeds_differ_and_evaluation_does_not():
    def batches(epoch: int, shuffle: bool, seed: int = 0) -> list:
        sampler = ClipSampler(MANY, 4, shuffle, seed)
        sampler.set_epoch(epoch)
        return [[q.clip for q in batch] for batch in sampler]

    assert batches(0, True) != batches(1, True)
    assert batches(0, True) != batches(0, True, seed=1)
    assert batches(0, False) == batches(1, False) == batches(0, False, seed=1)


def test_training_mixes_batches_of_long_and_of_short_clips():
    lengths = [clip.stop - clip.start for clip in MANY.clips]
    firsts = [lengths[batch[0].clip] for batch in ClipSampler(MANY, 4, True)]
    assert firsts != sorted(firsts, reverse=True)


@pytest.mark.parametrize('batch_size', [4, 16])
@pytest.mark.parametrize('shuffle', [True, False])
@pytest.mark.parametrize('partition', ['train', 'val'])
def test_hardly_anything_computed_is_padding(partition: str, shuffle: bool, batch_size: int):
    for seed in range(3):
        dataset = clips_of(affwild2_lengths(partition, seed), 250)
        assert useful_share(dataset, list(ClipSampler(dataset, batch_size, shuffle, seed))) >= 0.985


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(ConfigError, match='batch_size=0'):
        ClipSampler(MANY, 0, True)
