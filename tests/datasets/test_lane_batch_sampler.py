from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from segmented import clips_of

from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.demo.signals import affwild2_lengths
from abawfw.datasets.samplers import LaneBatchSampler
from abawfw.errors import ConfigError, TrainingError
from benchmarks.train import useful_share

MANY = clips_of(range(1, 60), 4)


def ranks(dataset: Any, world_size: int, epoch: int = 0, **kwargs: Any) -> list[list[list[ClipRequest]]]:
    samplers = [LaneBatchSampler(dataset, rank=r, world_size=world_size, **kwargs) for r in range(world_size)]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    return [list(sampler) for sampler in samplers]


setups = st.fixed_dictionaries(
    {
        'lengths': st.lists(st.integers(1, 30), min_size=1, max_size=15),
        'segment': st.integers(1, 12),
        'lanes': st.integers(1, 5),
        'world_size': st.integers(1, 3),
        'shuffle': st.booleans(),
        'seed': st.integers(0, 9),
        'epoch': st.integers(0, 9),
    }
)


@given(setups)
def test_every_video_streams_whole_and_in_order_through_one_lane(setup: dict[str, Any]):
    dataset = clips_of(setup.pop('lengths'), setup.pop('segment'))
    everywhere = ranks(dataset, **setup)
    # Every clip exactly once over all ranks.
    asked = Counter(q.clip for batches in everywhere for batch in batches for q in batch if not q.filler)
    assert asked == Counter(range(len(dataset.clips)))
    for batches in everywhere:
        lanes: dict[int, list[int]] = {}
        for step, batch in enumerate(batches):
            if batch[0].filler:
                assert len(batch) == 1
                continue
            # Rows ordered by lane; a lane is in every batch until it ends.
            assert [q.lane for q in batch] == sorted({q.lane for q in batch})
            assert all(0 <= q.lane < setup['lanes'] and q.epoch == setup['epoch'] for q in batch)
            for q in batch:
                assert len(lanes.setdefault(q.lane, [])) == step
                lanes[q.lane].append(q.clip)
        for stream in lanes.values():
            for before, after in zip([None, *stream], [*stream, None], strict=True):
                if after is not None and dataset.clips[after].position > 0:
                    assert before == after - 1
                elif before is not None:
                    ended = before + 1 == len(dataset.clips) or dataset.clips[before + 1].position == 0
                    assert ended


@given(setups)
def test_ranks_step_together_in_training_and_add_nothing_in_evaluation(setup: dict[str, Any]):
    dataset = clips_of(setup.pop('lengths'), setup.pop('segment'))
    everywhere = ranks(dataset, **setup)
    fillers = [q for batches in everywhere for batch in batches for q in batch if q.filler]
    if setup['shuffle']:
        assert len({len(batches) for batches in everywhere}) == 1
        assert any(not batches[-1][0].filler for batches in everywhere)
    if not setup['shuffle'] or setup['world_size'] == 1:
        assert not fillers


@given(setups, st.data())
def test_batches_depend_on_seed_and_epoch_only_and_can_start_anywhere(
    setup: dict[str, Any], data: st.DataObject
):
    dataset = clips_of(setup.pop('lengths'), setup.pop('segment'))
    epoch = setup.pop('epoch')
    fresh = LaneBatchSampler(dataset, **setup)
    fresh.set_epoch(epoch)
    batches = list(fresh)
    assert len(fresh) == len(batches)
    assert list(fresh) == batches

    used = LaneBatchSampler(dataset, **setup)
    for other in range(3):
        used.set_epoch(other)
        list(used)
    start = data.draw(st.integers(0, len(batches)))
    used.set_epoch(epoch, start)
    assert list(used) == batches[start:]
    assert len(used) == len(batches)
    used.set_epoch(epoch)
    assert list(used) == batches


def test_training_epochs_and_seeds_differ_and_evaluation_does_not():
    def batches(epoch: int, shuffle: bool, seed: int = 0) -> list:
        sampler = LaneBatchSampler(MANY, 4, shuffle, seed)
        sampler.set_epoch(epoch)
        return [[(q.lane, q.clip) for q in batch] for batch in sampler]

    assert batches(0, True) != batches(1, True)
    assert batches(0, True) != batches(0, True, seed=1)
    assert batches(0, False) == batches(1, False) == batches(0, False, seed=1)


def test_an_iterator_keeps_the_epoch_it_was_made_in():
    sampler = LaneBatchSampler(MANY, 4, True)
    batches = list(sampler)
    iterator = iter(sampler)
    sampler.set_epoch(1)
    assert list(iterator) == batches


def test_long_videos_come_at_any_time_of_a_training_epoch():
    sampler = LaneBatchSampler(MANY, 4, True)
    at = []
    for epoch in range(8):
        sampler.set_epoch(epoch)
        at += [
            step / len(sampler) for step, b in enumerate(sampler) for q in b if MANY.clips[q.clip].video == 58
        ]
    assert min(at) < 0.25
    assert max(at) > 0.75


def test_other_videos_share_a_lane_in_another_epoch():
    sampler = LaneBatchSampler(MANY, 4, True)
    together = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        lanes = [{MANY.clips[q.clip].video for b in sampler for q in b if q.lane == i} for i in range(4)]
        together.append({frozenset((a, b)) for lane in lanes for a in lane for b in lane if a != b})
    # Two independent deals to four lanes would share a quarter of their pairs.
    assert len(together[0] & together[1]) < 0.4 * len(together[0])


@pytest.mark.parametrize('world_size', [1, 2])
@pytest.mark.parametrize('shuffle', [True, False])
def test_lanes_end_nearly_together(shuffle: bool, world_size: int):
    dataset = clips_of(affwild2_lengths('train', 0), 250)
    everywhere = ranks(dataset, world_size, lanes=16, shuffle=shuffle)
    ends = [
        sum(any(q.lane == lane for q in b) for b in batches) for batches in everywhere for lane in range(16)
    ]
    assert max(ends) - min(ends) <= 6  # of 430


@pytest.mark.parametrize('lanes', [4, 16])
@pytest.mark.parametrize('shuffle', [True, False])
@pytest.mark.parametrize('partition', ['train', 'val'])
def test_hardly_anything_computed_is_padding(partition: str, shuffle: bool, lanes: int):
    for seed in range(3):
        dataset = clips_of(affwild2_lengths(partition, seed), 250)
        assert useful_share(dataset, list(LaneBatchSampler(dataset, lanes, shuffle, seed))) >= 0.97


def test_arguments_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match='lanes=0'):
        LaneBatchSampler(MANY, 0, True)
    with pytest.raises(ConfigError, match='rank 2 of 2'):
        LaneBatchSampler(MANY, 1, True, rank=2, world_size=2)
    sampler = LaneBatchSampler(MANY, 4, True)
    sampler.set_epoch(0, 10_000)
    with pytest.raises(TrainingError, match='cannot start epoch 0 at batch 10000'):
        iter(sampler)
