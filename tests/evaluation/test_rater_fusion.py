"""Rules that make one label of several raters, against plain formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluation.made_ratings import film, ratings

import abawfw.evaluation.raters
from abawfw.errors import DataError
from abawfw.evaluation.functional import VideoRatings
from abawfw.evaluation.raters import (
    CCCCentredMean,
    DelayCorrectedMean,
    EvaluatorWeightedMean,
    RaterFusion,
    RaterMean,
    RaterMedian,
)
from abawfw.registry import RATER_FUSIONS

RULES = sorted(name for name, of in RATER_FUSIONS.module_dict.items() if of.__module__.startswith('abawfw.'))
WEIGHTED = ['CCCCentredMean', 'EvaluatorWeightedMean']


def rule(name: str) -> RaterFusion:
    return RATER_FUSIONS.module_dict[name]()


def test_every_rule_is_public() -> None:
    assert set(RULES) == set(abawfw.evaluation.raters.__all__) - {'FusedRatings', 'RaterFusion'}


@pytest.mark.parametrize('name', RULES)
def test_what_every_rule_does(name: str) -> None:
    videos = ratings([0, 0, 0], videos=3, seconds=30)
    videos = {v: of._replace(values=np.clip(of.values, -1, 1)) for v, of in videos.items()}
    found = rule(name)(videos)
    assert list(found.labels) == list(videos)
    for video, label in found.labels.items():
        assert label.shape == videos[video].times.shape
        known = label[np.isfinite(label)]
        assert len(known) > len(label) - 20
        assert np.abs(known).max() <= 1
    turned = {
        v: VideoRatings(of.raters[::-1], of.values[::-1], of.times) for v, of in reversed(videos.items())
    }
    for video, label in rule(name)(turned).labels.items():
        np.testing.assert_allclose(label, found.labels[video], atol=1e-9)
    same = {v: of._replace(values=np.repeat(of.values[:1], 3, axis=0)) for v, of in videos.items()}
    for video, label in rule(name)(same).labels.items():
        np.testing.assert_allclose(label, same[video].values[0], atol=1e-9)
    alone = {'v': VideoRatings(('a',), videos['v0'].values[:1], videos['v0'].times)}
    np.testing.assert_allclose(rule(name)(alone).labels['v'], alone['v'].values[0], atol=1e-12)


@pytest.mark.parametrize('name', RULES)
def test_where_some_say_nothing_the_others_count(name: str) -> None:
    video = ratings([0, 0, 0], videos=1, seconds=30)['v0']
    values = video.values.copy()
    values[0, :100] = np.nan
    values[:, 300:330] = np.nan
    label = rule(name)({'v': video._replace(values=values)}).labels['v']
    assert np.isfinite(label[5:295]).all()
    assert np.isnan(label[305:325]).all()
    if name in ('RaterMean', 'RaterMedian'):  # of two, these are the same
        np.testing.assert_allclose(label[:100], values[1:, :100].mean(axis=0))


def test_mean_and_median_of_real_raters(shared: Path) -> None:
    videos = film(shared, 'arousal')
    for found, of in ((RaterMean()(videos), np.mean), (RaterMedian()(videos), np.median)):
        for name, label in found.labels.items():
            np.testing.assert_allclose(label, of(videos[name].values, axis=0), atol=1e-12)


def test_the_evaluator_weighted_estimator_as_its_formula_has_it(shared: Path) -> None:
    videos = film(shared, 'valence')
    found = EvaluatorWeightedMean()(videos)
    table = pd.concat([pd.DataFrame(v.values.T, columns=v.raters) for v in videos.values()])
    weights = table.corrwith(table.mean(axis=1))
    assert found.weights == pytest.approx((weights / weights.sum()).to_dict())
    label = np.concatenate(list(found.labels.values()))
    np.testing.assert_allclose(label, table @ weights / weights.sum(), atol=1e-12)


@pytest.mark.parametrize('name', WEIGHTED)
def test_a_rater_of_noise_has_the_lowest_weight(shared: Path, name: str) -> None:
    made = rule(name)(ratings([0, 0, np.nan, 0])).weights
    assert min(made, key=made.get) == 'c'
    assert sum(made.values()) == pytest.approx(1)
    rng = np.random.default_rng(0)
    real = film(shared, 'valence')
    noisy = {
        clip: VideoRatings(
            (*v.raters, 'noise'), np.vstack([v.values, rng.uniform(-1, 1, len(v.times))]), v.times
        )
        for clip, v in real.items()
    }
    found = rule(name)(noisy).weights
    assert min(found, key=found.get) == 'noise'
    assert found['noise'] < 0.5 * sorted(found.values())[1]


@pytest.mark.parametrize('name', WEIGHTED)
def test_what_somebody_rates_alone_says_nothing_of_a_weight(name: str) -> None:
    together = {
        v: of._replace(values=0.5 * of.values) for v, of in ratings([0, 0, np.nan], seconds=20).items()
    }
    noise = {f'n{v}': VideoRatings(('c',), of.values[2:], of.times) for v, of in together.items()}
    stranger = {'s': VideoRatings(('d',), together['v0'].values[:1], together['v0'].times)}
    found = rule(name)({**noise, **together, **stranger})
    assert found.weights == pytest.approx(rule(name)(together).weights)
    assert min(found.weights, key=found.weights.get) == 'c'
    for video, of in (*noise.items(), *stranger.items()):
        np.testing.assert_allclose(found.labels[video], of.values[0], atol=1e-12)
    assert rule(name)(noise).weights == {}


def test_who_shares_no_frame_with_others_counts_like_them() -> None:
    video = ratings([0, 0, 0], videos=1, seconds=20)['v0']
    apart = video.values[1:].copy()
    apart[0, :250], apart[1, 250:] = np.nan, np.nan
    found = EvaluatorWeightedMean()(
        {'both': VideoRatings(('a', 'b'), video.values[:2], video.times),
         'apart': VideoRatings(('b', 'c'), apart, video.times)}
    )  # fmt: skip
    assert list(found.weights) == ['a', 'b']
    np.testing.assert_allclose(found.labels['apart'], np.nansum(apart, axis=0))


def test_who_contradicts_has_no_weight_and_where_all_do_they_are_alike() -> None:
    video = ratings([0, 0, 0], videos=1)['v0']
    against = np.vstack([video.values, -video.values[:1]])
    found = EvaluatorWeightedMean()({'v': VideoRatings(('a', 'b', 'c', 'd'), against, video.times)})
    assert found.weights['d'] == 0
    both = np.stack([video.values[0], -video.values[0]])
    alike = EvaluatorWeightedMean()({'v': VideoRatings(('a', 'b'), both, video.times)})
    assert alike.weights == {'a': 0.5, 'b': 0.5}
    np.testing.assert_allclose(alike.labels['v'], 0, atol=1e-12)


def test_centring_takes_away_levels_and_keeps_the_course() -> None:
    video = ratings([0, 0, 0], videos=1, noise=0)['v0']
    course = 0.5 * video.values[0]
    moved = video._replace(values=0.5 * video.values + np.array([[0.3], [0.0], [-0.3]]))
    found = CCCCentredMean()({'v': moved}).labels['v']
    np.testing.assert_allclose(found - found.mean(), course - course.mean(), atol=1e-9)
    apart = moved.values.copy()
    apart[0, :700], apart[1, 700:] = np.nan, np.nan
    with pytest.raises(DataError, match='v: no frame is rated by all of a, b, c'):
        CCCCentredMean()({'v': moved._replace(values=apart)})


def test_delays_are_taken_away() -> None:
    true = ratings([0, 0, 0, 0], noise=0.02)
    late = ratings([0, 0, 2.5, 0], noise=0.02)
    for found, best in ((RaterMean()(late), False), (DelayCorrectedMean()(late), True)):
        inner = slice(100, -100)
        error = max(
            np.abs(found.labels[v][inner] - true[v].values[:, inner].mean(axis=0)).max() for v in true
        )
        assert (error < 0.05) == best, error
    assert np.isfinite(DelayCorrectedMean()(late).labels['v0']).all()
