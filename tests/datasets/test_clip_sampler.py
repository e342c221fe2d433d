from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from segmented import MANY, clips_of, setups

from abawfw.datasets.samplers import ClipSampler
from abawfw.datasets.transforms import PadTo
from abawfw.errors import ConfigError


@given(setups('batch_size'))
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


@given(setups('batch_size'))
def test_no_batch_computes_more_frames_than_one_of_the_longest_clips(setup: dict[str, Any]):
    dataset = clips_of(setup.pop('lengths'), setup.pop('segment'))
    setup.pop('epoch')
    lengths = [clip.stop - clip.start for clip in dataset.clips]
    sampler = ClipSampler(dataset, **setup)
    for batch in sampler:
        rows = [lengths[q.clip] for q in batch]
        assert len(rows) * max(rows) <= setup['batch_size'] * max(lengths)


@given(setups('batch_size'), st.integers(1, 20))
def test_padded_clips_count_as_long_as_they_become(setup: dict[str, Any], padded: int):
    dataset = clips_of(setup.pop('lengths'), setup.pop('segment'))
    setup.pop('epoch')
    dataset.pipeline = [PadTo(1), PadTo(padded)]
    lengths = [max(clip.stop - clip.start, padded) for clip in dataset.clips]
    for batch in ClipSampler(dataset, **setup):
        rows = [lengths[q.clip] for q in batch]
        assert len(rows) * max(rows) <= setup['batch_size'] * max(lengths)


def test_training_mixes_batches_of_long_and_of_short_clips():
    lengths = [clip.stop - clip.start for clip in MANY.clips]
    firsts = [lengths[batch[0].clip] for batch in ClipSampler(MANY, 4, True)]
    assert firsts != sorted(firsts, reverse=True)


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(ConfigError, match='batch_size=0'):
        ClipSampler(MANY, 0, True)
