from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abawfw.datasets.clips import Segments, SlidingWindow
from abawfw.datasets.splits import OfficialSplit
from abawfw.datasets.stores.records import VideoInfo
from abawfw.errors import ConfigError
from abawfw.registry import CLIPS


def test_segments_lie_back_to_back_and_the_last_is_shorter():
    assert Segments(250).cut(620) == [(0, 250), (250, 500), (500, 620)]
    assert Segments(250).cut(500) == [(0, 250), (250, 500)]
    assert Segments(250).cut(1) == [(0, 1)]
    assert Segments(250).cut(0) == []


@given(length=st.integers(1, 50), num_frames=st.integers(0, 400))
def test_segments_hold_every_frame_once(length: int, num_frames: int):
    clips = Segments(length).cut(num_frames)
    assert [i for start, stop in clips for i in range(start, stop)] == list(range(num_frames))
    assert all(stop - start == length for start, stop in clips[:-1])


def test_windows_equal_the_reference(shared: Path):
    golden = json.loads((shared / 'golden/tagf/windowing_300_200.json').read_text())
    for num_frames, windows in golden.items():
        assert [list(w) for w in SlidingWindow(300, 200).cut(int(num_frames))] == windows


@pytest.mark.parametrize(('length', 'hop'), [(400, 150), (300, 200)])
def test_windows_of_ras(golden_2025: Path, length: int, hop: int) -> None:
    expected = json.loads((golden_2025 / 'ras/windows.json').read_text())[f'{length}_{hop}']
    for num_frames, windows in expected.items():
        found = SlidingWindow(length, hop).cut(int(num_frames))
        assert [[start, stop - start] for start, stop in found] == windows


@given(st.integers(1, 50).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))), st.integers(0, 400))
def test_windows_cover_every_frame_and_end_flush(rule: tuple[int, int], num_frames: int):
    length, hop = rule
    clips = SlidingWindow(length, hop).cut(num_frames)
    assert {i for start, stop in clips for i in range(start, stop)} == set(range(num_frames))
    assert all(stop - start == min(length, num_frames) for start, stop in clips)
    starts = [start for start, _ in clips]
    assert all(a < b <= a + hop for a, b in pairwise(starts))


@pytest.mark.parametrize(('length', 'hop'), [(10, 11), (10, 0), (0, 0)])
def test_windows_that_leave_frames_out_are_refused(length: int, hop: int):
    with pytest.raises(ConfigError, match='hop must lie in 1'):
        SlidingWindow(length, hop)


def test_a_segment_without_frames_is_refused():
    with pytest.raises(ConfigError, match='length=0'):
        Segments(0)


def test_rules_are_found_by_name():
    assert CLIPS.build({'type': 'SlidingWindow', 'length': 4, 'hop': 2}).cut(5) == [(0, 4), (1, 5)]


def test_the_official_split_keeps_the_partitions_and_order_of_the_store():
    videos = [VideoInfo(f'v{i}', p, 1) for i, p in enumerate(['val', 'train', 'test', 'train'])]
    names = [[v.video_id for v in OfficialSplit().videos(videos, p)] for p in ('train', 'val', 'test', 'x')]
    assert names == [['v1', 'v3'], ['v0'], ['v2'], []]
