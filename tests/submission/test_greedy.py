"""Greedy selection against the same search done frame by frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abawfw.errors import DataError
from abawfw.evaluation.functional import ccc, moments
from abawfw.submission.weights import MOST_DRAWS, cross_validated_ccc, find_weights, greedy_weights


def case(seed: int, runs: int, frames: int = 40) -> tuple[np.ndarray, list[np.ndarray]]:
    """Labels, and runs that know them to different degrees."""
    rng = np.random.default_rng(seed)
    label = rng.normal(0, 0.4, frames)
    scales = rng.uniform(-0.3, 1, runs)
    return label, [s * label + rng.normal(0, rng.uniform(0.1, 0.6), frames) for s in scales]


def search(label: np.ndarray, preds: list[np.ndarray]) -> list[int]:
    """The draws, from means of frames."""
    drawn: list[int] = []
    best = -2.0
    while len(drawn) < MOST_DRAWS:
        scores = [ccc(label, np.mean([preds[j] for j in [*drawn, i]], axis=0)) for i in range(len(preds))]
        if max(scores) <= best + 1e-9:
            break
        best = max(scores)
        drawn.append(scores.index(best))
    return drawn


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_the_same_draws_as_frame_by_frame(seed: int, runs: int) -> None:
    label, preds = case(seed, runs)
    drawn = search(label, preds)
    found = greedy_weights(moments(label, preds))
    np.testing.assert_allclose(found, np.bincount(drawn, minlength=runs) / len(drawn), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_never_below_the_best_run_and_never_above_the_fitted_weights(seed: int, runs: int) -> None:
    label, preds = case(seed, runs)
    single = [ccc(label, pred) for pred in preds]
    greedy = ccc(label, np.average(preds, axis=0, weights=greedy_weights(moments(label, preds))))
    assert greedy >= max(single) - 1e-12
    if max(single) > 0:
        weights = find_weights('fit', moments(label, preds))
        assert ccc(label, np.average(preds, axis=0, weights=weights)) >= greedy - 1e-9


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.permutations(range(5)))
def test_the_order_of_runs_does_not_matter(seed: int, order: list[int]) -> None:
    label, preds = case(seed, 5)
    found = greedy_weights(moments(label, preds))
    again = greedy_weights(moments(label, [preds[i] for i in order]))
    np.testing.assert_array_equal(again, found[order])


def test_of_runs_that_are_equal_but_for_rounding_the_first_is_taken() -> None:
    label, preds = case(3, 4)
    found = greedy_weights(moments(label, preds))
    pairs = [(pred, pred + 1e-11 * (label - pred)) for pred in preds]  # the second is better, on paper
    doubled = greedy_weights(moments(label, [p for pair in pairs for p in pair]))
    np.testing.assert_array_equal(doubled[::2], found)
    assert not doubled[1::2].any()


def test_two_runs_whose_errors_cancel() -> None:
    label = np.array([0.0, 0.2, 0.4, 0.6])
    error = np.array([0.1, -0.1, -0.1, 0.1])
    third = label + 3 * error
    found = greedy_weights(moments(label, [third, label - error, label + error]))
    assert found.tolist() == [0, 0.5, 0.5]


def test_draws_have_an_end() -> None:
    """Of many runs that are equally good and err apart, ever more would be drawn."""
    rng = np.random.default_rng(0)
    label = rng.normal(0, 0.4, 3000)
    preds = [label + rng.normal(0, 0.5, 3000) for _ in range(3 * MOST_DRAWS)]
    drawn = greedy_weights(moments(label, preds)) * MOST_DRAWS
    np.testing.assert_allclose(drawn, drawn.round(), atol=1e-9)
    assert np.count_nonzero(drawn) > MOST_DRAWS / 2


@pytest.mark.parametrize('rule', ['greedy', 'fit', 'ccc'])
def test_no_run_with_a_positive_ccc(rule: str) -> None:
    label = np.array([0.0, 0.2, 0.6])
    against = moments(label, [-label, 0 * label])
    with pytest.raises(DataError, match='no run has a positive CCC on the validation frames'):
        find_weights(rule, against)
    assert find_weights(rule, moments(label, [-label])).tolist() == [1.0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 8))
def test_fitted_weights_are_the_best_there_are(seed: int, runs: int) -> None:
    """No other weights, and no step away from these towards any one run, reach more."""
    label, preds = case(seed, runs)
    if max(ccc(label, pred) for pred in preds) <= 0:
        return
    weights = find_weights('fit', moments(label, preds))
    reached = ccc(label, np.average(preds, axis=0, weights=weights))
    others = np.random.default_rng(seed).dirichlet(np.full(runs, 0.5), 200)
    steps = [weights + s * (one - weights) for one in np.eye(runs) for s in (1e-3, 0.03, 0.5)]
    for other in (*others, *steps):
        assert ccc(label, np.average(preds, axis=0, weights=other)) <= reached + 1e-8


@pytest.mark.parametrize('rule', ['greedy', 'fit', 'ccc'])
def test_no_video_takes_part_in_its_own_weights(rule: str) -> None:
    videos = [case(seed, 4, 30) for seed in range(7)]

    def joined(chosen: list[int]) -> tuple[np.ndarray, list[np.ndarray]]:
        label = np.concatenate([videos[i][0] for i in chosen])
        return label, [np.concatenate([videos[i][1][run] for i in chosen]) for run in range(4)]

    together = {}
    for fold in range(5):
        weights = find_weights(rule, moments(*joined([i for i in range(7) if i % 5 != fold])))
        for i in range(fold, 7, 5):
            together[i] = np.average(videos[i][1], axis=0, weights=weights)
    expected = ccc(joined(list(range(7)))[0], np.concatenate([together[i] for i in range(7)]))
    found = cross_validated_ccc(rule, [moments(*video) for video in videos])
    assert found == pytest.approx(expected, abs=1e-9)
