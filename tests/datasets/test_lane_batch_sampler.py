from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from segmented import MANY, clips_of, setups

from abawfw.datasets.clip_request import ClipRequest
from abawfw.datasets.demo.signals import affwild2_lengths
from abawfw.datasets.samplers import LaneBatchSampler
from abawfw.errors import ConfigError, TrainingError


def ranks(dataset: Any, world_size: int, epoch: int = 0, **kwargs: Any) -> list[list[list[ClipRequest]]]:
    samplers = [LaneBatchSampler(dataset, rank=r, world_size=world_size, **kwargs) for r in range(world_size)]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    return [list(sampler) for sampler in samplers]


@given(setups('lanes'))
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


@given(setups('lanes'))
def test_ranks_step_together_in_training_and_add_nothing_in_evaluation(setup: dict[str, Any]):
    dataset = clips_of(setup.pop('lengths'), setup.pop('segment'))
    everywhere = ranks(dataset, **setup)
    fillers = [q for batches in everywhere for batch in batches for q in batch if q.filler]
    if setup['shuffle']:
        assert len({len(batches) for batches in everywhere}) == 1
        assert any(not batches[-1][0].filler for batches in everywhere)
    if not setup['shuffle'] or setup['world_size'] == 1:
        assert not fillers


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


def test_arguments_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match='lanes=0'):
        LaneBatchSampler(MANY, 0, True)
    with pytest.raises(ConfigError, match='rank 2 of 2'):
        LaneBatchSampler(MANY, 1, True, rank=2, world_size=2)
    sampler = LaneBatchSampler(MANY, 4, True)
    sampler.set_epoch(0, 10_000)
    with pytest.raises(TrainingError, match='cannot start epoch 0 at batch 10000'):
        iter(sampler)
