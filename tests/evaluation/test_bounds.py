from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional import (
    MeanCourse,
    Moments,
    moving_mean_bound,
    shift_bound,
    stretches,
    video_mean_bound,
)

NAN = float('nan')
VIDEO = st.lists(st.one_of(st.just(NAN), st.integers(-1000, 1000).map(lambda v: v / 1000)), max_size=30)
VIDEOS = st.lists(VIDEO, min_size=1, max_size=4)


def plain_ccc(pairs: list[tuple[float, float]]) -> float:
    n = len(pairs)
    mx, my = sum(x for x, _ in pairs) / n, sum(y for _, y in pairs) / n
    vx, vy = sum((x - mx) ** 2 for x, _ in pairs) / n, sum((y - my) ** 2 for _, y in pairs) / n
    if vx < 1e-20 or vy < 1e-20:
        return 0.0
    return 2 * sum((x - mx) * (y - my) for x, y in pairs) / n / (vx + vy + (mx - my) ** 2)


def same(found: Moments, pairs: list[tuple[float, float]]) -> None:
    assert found.n == len(pairs)
    if pairs:
        assert found.ccc == pytest.approx(plain_ccc(pairs), abs=1e-9)


@given(VIDEOS)
def test_constant_is_the_mean_of_each_video(videos: list[list[float]]) -> None:
    pairs = []
    for video in videos:
        labelled = [x for x in video if x == x]
        pairs += [(x, sum(labelled) / len(labelled)) for x in labelled]
    same(Moments.pool(video_mean_bound(np.array(video)) for video in videos), pairs)


@given(VIDEOS, st.integers(0, 12))
def test_moving_mean_never_looks_beyond_a_gap(videos: list[list[float]], window: int) -> None:
    pairs = []
    for video in videos:
        for t, x in enumerate(video):
            if x == x:
                first = last = t
                while first > max(t - window, 0) and video[first - 1] == video[first - 1]:
                    first -= 1
                while last < min(t + window, len(video) - 1) and video[last + 1] == video[last + 1]:
                    last += 1
                pairs.append((x, sum(video[first : last + 1]) / (last + 1 - first)))
    same(Moments.pool(moving_mean_bound(np.array(video), window) for video in videos), pairs)


@given(VIDEOS, st.integers(0, 12))
def test_shift_pairs_frames_that_exist(videos: list[list[float]], shift: int) -> None:
    pairs = [
        (video[t + shift], video[t])
        for video in videos
        for t in range(len(video) - shift)
        if video[t] == video[t] and video[t + shift] == video[t + shift]
    ]
    same(Moments.pool(shift_bound(np.array(video), shift) for video in videos), pairs)


def course_of(videos: list[list[float]], frames: int) -> list[float] | None:
    everything = [x for video in videos for x in video if x == x]
    if not everything:
        return None
    course = []
    for t in range(frames):
        there = [video[t] for video in videos if t < len(video) and video[t] == video[t]]
        course.append(sum(there) / len(there) if there else sum(everything) / len(everything))
    return course


@given(train=VIDEOS, val=VIDEOS)
def test_mean_course_is_the_mean_over_training_videos_at_each_frame(
    train: list[list[float]], val: list[list[float]]
) -> None:
    course = MeanCourse()
    for video in train:
        course.add(np.array(video))
    found = [course.against(np.array(video)) for video in val]
    expected = [course_of(train, len(video)) for video in val]
    if expected[0] is None:
        assert found == [None] * len(val)
        return
    pairs = [
        (x, y)
        for video, of in zip(val, expected, strict=True)
        for x, y in zip(video, of or [], strict=True)
        if x == x
    ]
    same(Moments.pool(part for part in found if part is not None), pairs)


def test_video_mean_bound_follows_from_the_share_between_videos() -> None:
    rng = np.random.default_rng(0)
    videos = [rng.normal() + rng.normal(size=n) for n in (5, 20, 50, 7)]
    everything = np.concatenate(videos)
    between = sum(len(v) * (v.mean() - everything.mean()) ** 2 for v in videos) / len(everything)
    share = between / everything.var()
    found = Moments.pool(map(video_mean_bound, videos))
    assert found.ccc == pytest.approx(2 * share / (1 + share))
    assert found.square_pred / found.square_true == pytest.approx(share)


def test_perfect_at_window_and_shift_0() -> None:
    labels = np.array([0.1, NAN, 0.5, -0.2])
    assert moving_mean_bound(labels, 0).ccc == pytest.approx(1)
    assert shift_bound(labels, 0).ccc == pytest.approx(1)


@pytest.mark.parametrize('labels', [[], [NAN, NAN]])
def test_no_label_is_no_frame(labels: list[float]) -> None:
    assert video_mean_bound(labels) == moving_mean_bound(labels, 3) == shift_bound(labels, 3) == Moments()


@pytest.mark.parametrize('shift', [-1, 0.5])
def test_impossible_shift(shift: Any) -> None:
    with pytest.raises(ConfigError, match='whole number of frames'):
        shift_bound(np.zeros(3), shift)


def test_two_columns_are_refused() -> None:
    with pytest.raises(DataError, match='one target of one video'):
        video_mean_bound(np.zeros((3, 2)))


@given(st.lists(st.booleans(), max_size=40))
def test_stretches_are_the_unbroken_runs(holds: list[bool]) -> None:
    expected, start = [], None
    for frame, value in enumerate([*holds, False]):
        if value and start is None:
            start = frame
        elif not value and start is not None:
            expected.append([start, frame])
            start = None
    assert stretches(holds).tolist() == expected
