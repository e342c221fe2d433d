"""Delays of raters: injected ones are found, and what cannot be known is not claimed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation.made_ratings import course, film, ratings

from abawfw.errors import ConfigError
from abawfw.evaluation.functional import VideoRatings, rater_delays


@pytest.mark.parametrize('delay', [0.5, 1.0, 2.0, 3.0, -1.3])
def test_an_injected_delay_is_found(delay: float) -> None:
    found = rater_delays(ratings([0, 0, delay, 0]))
    assert {rater: of.seconds for rater, of in found.items()} == pytest.approx(
        {'a': 0, 'b': 0, 'c': delay, 'd': 0}, abs=0.2
    )
    assert not any(of.warning for of in found.values())


def test_all_are_late_by_something_else() -> None:
    delays = [0.0, 0.5, 1.0, 2.0, 3.0]
    found = rater_delays(ratings(delays))
    assert [of.seconds for of in found.values()] == pytest.approx([d - 1.0 for d in delays], abs=0.2)
    halves = rater_delays(ratings([0.0, 2.0]))
    assert [of.seconds for of in halves.values()] == pytest.approx([-1, 1], abs=0.1)


@pytest.mark.parametrize('target', ['valence', 'arousal'])
def test_delays_injected_into_real_ratings(shared: Path, target: str) -> None:
    """Into those of four of nine observers at once; on their own they differ by less than .1 s."""
    delays = {0: 0.5, 3: 1.0, 6: 3.0, 8: 2.0}
    moved = {}
    for name, video in list(film(shared, target, ('train',)).items())[::2]:
        values = video.values.copy()
        for at, delay in delays.items():
            values[at] = np.interp(video.times - delay, video.times, values[at])
        moved[name] = video._replace(values=values)
    for at, (rater, found) in enumerate(rater_delays(moved, units=()).items()):
        assert found.seconds == pytest.approx(delays.get(at, 0), abs=0.2), rater


def test_its_interval_is_over_videos() -> None:
    videos = ratings([0, 0, 0, 1.5], videos=12, seconds=30, noise=0.3)
    found = rater_delays(videos)['d']
    assert found.obstacle is None
    assert found.low < found.seconds < found.high
    assert 0.02 < found.high - found.low < 1
    assert found.low <= 1.5 <= found.high
    rare = {
        k: v if k in ('v0', 'v1') else VideoRatings(tuple('abc'), v.values[:3], v.times)
        for k, v in videos.items()
    }
    rare['alone'] = VideoRatings(('e',), videos['v0'].values[:1], videos['v0'].times)
    some = rater_delays(rare)
    assert (some['d'].low, some['d'].obstacle) == (None, '2 labelled videos: an interval needs 5 or more')
    assert some['a'].low <= 0 <= some['a'].high
    assert some['a'].high - some['a'].low < 1
    few = rater_delays(dict(list(videos.items())[:3]))['d']
    assert (few.low, few.high) == (None, None)
    assert few.obstacle == '3 labelled videos: an interval needs 5 or more'


def test_its_interval_is_as_wide_as_plain_draws_of_videos_scatter() -> None:
    """Of two raters each moves against the other, so half of what a peak moves is a rater's own."""
    rng = np.random.default_rng(2)
    videos = {}
    for k in range(10):
        delay = 1 + rng.normal(0, 0.6)  # of this video
        videos[f'v{k}'] = ratings([0, delay], videos=k + 1, seconds=40, fps=10)[f'v{k}']
    found = rater_delays(videos)['b']
    drawn = []
    for _ in range(40):
        chosen = rng.integers(0, 10, 10)
        again = rater_delays({f'u{i}': videos[f'v{j}'] for i, j in enumerate(chosen)}, units=())
        drawn.append(again['b'].seconds)
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.std(drawn), rel=0.25)


def test_gaps_and_frame_rates_do_not_matter() -> None:
    videos = ratings([0, 0, 2.0, 0])
    holes = {}
    for k, (name, video) in enumerate(videos.items()):
        values = video.values.copy()
        values[k % 4, 200:400] = np.nan
        values[:, 700:720] = np.nan
        step = k % 3 + 1  # 25, 12.5 and 8.3 frames a second
        holes[name] = VideoRatings(video.raters, values[:, ::step], video.times[::step])
    found = rater_delays(holes, units=())
    assert [of.seconds for of in found.values()] == pytest.approx([0, 0, 2, 0], abs=0.2)


def test_what_has_no_peak_has_no_delay() -> None:
    noise = rater_delays(ratings([0, 0, 0, np.nan], videos=20))
    assert noise['d'].seconds is None
    assert 'no delay can be found' in noise['d'].warning
    assert [noise[r].seconds for r in 'abc'] == pytest.approx([0, 0, 0], abs=0.1)
    times = np.arange(0, 120, 0.1)
    slow = np.stack([np.sin(times / 15), np.sin(times / 15 - 0.02), np.sin(times / 15 + 0.01)])
    flat = rater_delays({'v': VideoRatings(('a', 'b', 'c'), slow, times)})
    assert all(of.warning.startswith('flat peak') and of.seconds is None for of in flat.values())
    still = rater_delays({'v': VideoRatings(('a', 'b'), np.zeros((2, 100)), np.arange(100) / 5)})
    assert still['a'].seconds is None
    assert 'no window in which this rater and others rate, and move' in still['a'].warning
    assert still['a'].curve.tolist() == [0.0] * 51


def test_a_delay_beyond_the_bound_is_not_claimed() -> None:
    videos = ratings([0, 0, 0, 3.0], noise=0)
    beyond = rater_delays(videos, bound=2)['d']
    assert beyond.seconds is None
    assert 'highest at the bound of 2 s: look further' in beyond.warning
    assert rater_delays(videos, bound=4)['d'].seconds == pytest.approx(3, abs=0.1)
    with pytest.raises(ConfigError, match=r'largest delay of 0\.5 s: it must be from 1 to 60 s'):
        rater_delays(videos, bound=0.5)


def test_short_videos_and_raters_who_are_alone() -> None:
    rng = np.random.default_rng(3)
    videos = {}
    for i in range(30):  # shorter than a window
        true = course(rng, 200, 25)
        late = np.interp(np.arange(200) - 25, np.arange(200), true)
        values = np.stack([true, true, late]) + 0.02 * rng.standard_normal((3, 200))
        videos[str(i)] = VideoRatings(('a', 'b', 'c'), values, np.arange(200) / 25)
    videos['alone'] = VideoRatings(('d',), rng.standard_normal((1, 200)), np.arange(200) / 25)
    found = rater_delays(videos, units=())
    assert {rater: of.seconds for rater, of in found.items()} == pytest.approx(
        {'a': 0, 'b': 0, 'c': 1}, abs=0.2
    )
    assert rater_delays({'alone': videos['alone']}) == {}
