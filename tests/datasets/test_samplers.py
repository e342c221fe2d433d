"""What holds for clips in any order and for clips in lanes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from segmented import MANY, clips_of, setups

from abawfw.datasets.demo.signals import affwild2_lengths
from abawfw.datasets.samplers import ClipSampler, LaneBatchSampler
from benchmarks.train import useful_share

SAMPLERS = {ClipSampler: 'batch_size', LaneBatchSampler: 'lanes'}
both = pytest.mark.parametrize('kind', SAMPLERS)


@both
@given(st.data())
def test_batches_depend_on_seed_and_epoch_only_and_can_start_anywhere(kind: Any, data: st.DataObject):
    setup = data.draw(setups(SAMPLERS[kind]))
    dataset = clips_of(setup.pop('lengths'), setup.pop('segment'))
    epoch = setup.pop('epoch')
    fresh, used = kind(dataset, **setup), kind(dataset, **setup)
    fresh.set_epoch(epoch)
    batches = list(fresh)
    assert len(fresh) == len(batches)
    assert list(fresh) == batches
    for other in range(3):
        used.set_epoch(other)
        list(used)
    start = data.draw(st.integers(0, len(batches)))
    used.set_epoch(epoch, start)
    assert list(used) == batches[start:]
    assert len(used) == len(batches)
    used.set_epoch(epoch)
    assert list(used) == batches


@both
def test_training_epochs_and_seeds_differ_and_evaluation_does_not(kind: Any):
    def batches(epoch: int, shuffle: bool, seed: int = 0) -> list:
        sampler = kind(MANY, 4, shuffle, seed)
        sampler.set_epoch(epoch)
        return [[(q.lane, q.clip) for q in batch] for batch in sampler]

    assert batches(0, True) != batches(1, True)
    assert batches(0, True) != batches(0, True, seed=1)
    assert batches(0, False) == batches(1, False) == batches(0, False, seed=1)


@pytest.mark.parametrize('size', [4, 16])
@pytest.mark.parametrize('shuffle', [True, False])
@pytest.mark.parametrize('partition', ['train', 'val'])
@pytest.mark.parametrize(('kind', 'least'), [(ClipSampler, 0.985), (LaneBatchSampler, 0.97)])
def test_hardly_anything_computed_is_padding(
    kind: Any, least: float, partition: str, shuffle: bool, size: int
):
    for seed in range(3):
        dataset = clips_of(affwild2_lengths(partition, seed), 250)
        assert useful_share(dataset, list(kind(dataset, size, shuffle, seed))) >= least
