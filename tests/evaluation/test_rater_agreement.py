"""Agreement of raters, against plain formulas in pandas and scipy."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluation.made_ratings import film, ratings
from scipy import stats

from abawfw.evaluation.functional import VideoRatings, rater_agreement

ROOT = Path(__file__).resolve().parents[2]


def plain_alpha(x: pd.DataFrame) -> float:
    """Of frames by raters: from the covariances of all pairs."""
    c = x.cov(ddof=1).to_numpy()
    k = len(c)
    return k / (k - 1) * (1 - np.trace(c) / c.sum())


def plain_icc(x: pd.DataFrame) -> float:
    """ICC(2,k): two-way analysis of variance, sum by sum."""
    n, k = x.shape
    grand = x.to_numpy().mean()
    rows, columns = x.mean(axis=1), x.mean(axis=0)
    msr = k * ((rows - grand) ** 2).sum() / (n - 1)
    msc = n * ((columns - grand) ** 2).sum() / (k - 1)
    residual = x.sub(rows, axis=0).sub(columns, axis=1) + grand
    mse = (residual.to_numpy() ** 2).sum() / ((n - 1) * (k - 1))
    return float((msr - mse) / (msr + (msc - mse) / n))


def plain_ccc(x: pd.Series, y: pd.Series) -> float:
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    return float(2 * covariance / (x.var(ddof=0) + y.var(ddof=0) + (x.mean() - y.mean()) ** 2))


@pytest.mark.parametrize('target', ['valence', 'arousal'])
def test_real_raters_as_plain_formulas_have_them(shared: Path, target: str) -> None:
    videos = film(shared, target, ('train', 'val'))
    found = rater_agreement(videos, draws=200)
    table = pd.concat([pd.DataFrame(v.values.T, columns=v.raters) for v in videos.values()])
    (panel,) = found.panels
    assert (panel.videos, panel.frames) == (60, len(table)) == (60, 27740)
    assert panel.alpha.value == pytest.approx(plain_alpha(table), abs=1e-10)
    assert panel.icc.value == pytest.approx(plain_icc(table), abs=1e-10)
    for rater, of in found.raters.items():
        others = table.drop(columns=rater)
        assert of.pcc.value == pytest.approx(stats.pearsonr(table[rater], others.mean(axis=1))[0], abs=1e-10)
        assert of.ccc.value == pytest.approx(plain_ccc(table[rater], others.mean(axis=1)), abs=1e-10)
        assert of.alpha_without == pytest.approx(plain_alpha(others), abs=1e-10)
        for measure in (of.ccc, of.pcc):
            assert measure.interval.low < measure.value < measure.interval.high
    for measure in (panel.alpha, panel.icc):
        assert measure.interval.low < measure.value < measure.interval.high
    page = (ROOT / 'docs/labels.md').read_text()
    half = 0 if target == 'valence' else 3
    for rater, of in found.raters.items():
        cells = re.search(rf'^\| {rater} \|(.*)\|$', page, re.MULTILINE)[1].split('|')[half : half + 2]
        assert [float(cell.split()[0]) for cell in cells] == [round(of.ccc.value, 3), round(of.pcc.value, 3)]
    for name, measure in (('alpha', panel.alpha), ('ICC(2,k)', panel.icc)):
        assert f'| {name} {measure.value:.3f} ('.replace(' 0.', ' .') in page


def test_intervals_hold_what_they_are_called_for() -> None:
    """Alpha, ICC and correlation of three raters, as all videos of the kind would have them: 95 %."""
    rng = np.random.default_rng(0)

    def drawn(videos: int, frames: int = 30) -> np.ndarray:
        """Of each video a level and, frame by frame, what the raters see; (videos, raters, frames)."""
        level = 0.3 * rng.standard_normal((videos, 1, 1)) + 0.1 * rng.standard_normal((videos, 3, 1))
        true = 0.2 * rng.standard_normal((videos, 1, frames))
        bias = np.array([0.0, 0.1, -0.1])[:, None]
        return level + true + bias + 0.2 * rng.standard_normal((videos, 3, frames))

    times, names = np.arange(30.0), ('a', 'b', 'c')
    many = pd.DataFrame(np.hstack(list(drawn(20000))).T, columns=names)
    true = plain_alpha(many), plain_icc(many), many['a'].corr((many['b'] + many['c']) / 2)
    held, there = np.zeros(3), np.zeros(3)
    for _ in range(30):
        videos = {str(i): VideoRatings(names, x, times) for i, x in enumerate(drawn(30))}
        found = rater_agreement(videos, draws=100)
        measures = found.panels[0].alpha, found.panels[0].icc, found.raters['a'].pcc
        ends = [(m.interval.low or np.nan, m.interval.high or np.nan) for m in measures]
        there += [not np.isnan(low) for low, _ in ends]
        held += [low <= t <= high for (low, high), t in zip(ends, true, strict=True)]
    assert (there >= 29).all()
    assert (held / there >= 0.83).all(), held / there


def test_groups_are_drawn_whole() -> None:
    videos = ratings([0, 0, 0], videos=12, seconds=10)
    pairs = [[f'v{2 * i}', f'v{2 * i + 1}'] for i in range(6)]
    alone, grouped = (rater_agreement(videos, units, draws=300) for units in (None, pairs))
    assert alone.panels[0].alpha.value == pytest.approx(grouped.panels[0].alpha.value)
    assert alone.panels[0].alpha.interval != grouped.panels[0].alpha.interval
    few = rater_agreement(videos, [[*videos]], 'group')
    assert few.panels[0].alpha.interval.obstacle == '1 labelled group: an interval needs 5 or more'
    assert few.raters['a'].pcc.interval.obstacle == few.raters['a'].ccc.interval.obstacle


def test_other_raters_are_another_panel() -> None:
    three, two = ratings([0, 0, 0], videos=1, seconds=20), ratings([0, 0], videos=1, seconds=4)
    found = rater_agreement({'long': three['v0'], 'short': two['v0']})
    assert [(panel.raters, panel.videos) for panel in found.panels] == [(('a', 'b', 'c'), 1), (('a', 'b'), 1)]
    assert (found.raters['a'].videos, found.raters['c'].videos) == (2, 1)
    assert found.raters['a'].frames == 600


def test_frames_that_not_all_have_rated_do_not_count() -> None:
    video = ratings([0, 0, 0], videos=1, seconds=20)['v0']
    values = video.values.copy()
    values[1, :100] = np.nan
    found = rater_agreement({'v': video._replace(values=values)})
    kept = rater_agreement({'v': video._replace(values=values[:, 100:], times=video.times[100:])})
    assert found.panels[0].alpha.value == kept.panels[0].alpha.value
    values[2, 100:] = np.nan
    assert rater_agreement({'v': video._replace(values=values)}) == ({}, [])


def test_who_never_moves_and_who_is_alone() -> None:
    video = VideoRatings(('a', 'b'), np.zeros((2, 8)), np.arange(8.0))
    found = rater_agreement({str(i): video for i in range(6)})
    assert (found.raters['a'].ccc.value, found.raters['a'].pcc.value) == (0, 0)
    assert found.panels[0].alpha.value is None
    assert found.panels[0].alpha.interval.obstacle == 'no rating varies'
    assert rater_agreement({'v': VideoRatings(('a',), np.zeros((1, 8)), np.arange(8.0))}) == ({}, [])


def rated(*rows: object, frames: int = 50) -> VideoRatings:
    """Raters a, b, ... with a level or a course each."""
    values = np.stack([np.broadcast_to(np.asarray(row, np.float64), frames) for row in rows])
    return VideoRatings(tuple('abcd'[: len(rows)]), values, np.arange(float(frames)))


# numbers that binary fractions do not hold, so that means and differences of them leave rounding
@pytest.mark.parametrize('levels', [(0.1, 0.3, 0.7), (0.1, 0.1, 0.1), (0.1, 0.3), (0.1, -0.7)])
def test_levels_that_never_move_have_no_agreement(levels: tuple[float, ...]) -> None:
    found = rater_agreement({str(i): rated(*levels, frames=50 + i) for i in range(6)})
    for measure in (found.panels[0].alpha, found.panels[0].icc):
        assert measure == (None, (None, None, 'no rating varies'))
    for of in found.raters.values():
        assert (of.ccc.value, of.pcc.value, of.alpha_without) == (0, 0, None)


def test_one_who_moves_among_those_who_never_do() -> None:
    courses = np.random.default_rng(0).normal(size=(6, 50))
    found = rater_agreement({str(i): rated(0.1, course, -0.1) for i, course in enumerate(courses)})
    assert found.raters['b'].alpha_without is None
    assert [found.raters[rater].pcc.value for rater in 'abc'] == [0, 0, 0]
    for value in (found.panels[0].alpha.value, found.panels[0].icc.value, found.raters['a'].alpha_without):
        assert value == pytest.approx(0, abs=1e-12)


def test_opposite_and_equal_raters() -> None:
    courses = np.random.default_rng(0).normal(size=(6, 50))
    against = rater_agreement({str(i): rated(course, 0.3 - course) for i, course in enumerate(courses)})
    for measure in (against.panels[0].alpha, against.panels[0].icc):
        assert measure == (None, (None, None, 'the mean of the raters does not vary'))
    equal = rater_agreement({str(i): rated(course, course, course) for i, course in enumerate(courses)})
    for measure in (equal.panels[0].alpha, equal.panels[0].icc, equal.raters['a'].pcc):
        assert measure.value == pytest.approx(1)
        assert measure.interval.obstacle == 'the raters are equal, or do not vary'
