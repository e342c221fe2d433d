"""When EarlyStopHook stops, from the scores alone."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from abawfw.engine.hooks import EarlyStopHook


def runner_of(score: float) -> Any:
    loop = SimpleNamespace(record={'val_ccc': score}, stop_training=False)
    return SimpleNamespace(train_loop=loop, logger=logging.getLogger('early stop'))


def stops_at(scores: list[float], patience: int, start: int, release: int | None, resume: int) -> int | None:
    hook = EarlyStopHook(patience, start=start)
    for epoch, score in enumerate(scores, 1):
        runner = runner_of(score)
        hook.between_epochs(runner)
        if runner.train_loop.stop_training:
            return epoch
        if epoch == release:
            hook.after_release(runner)
        if epoch == resume:
            state, hook = hook.state_dict(), EarlyStopHook(patience, start=start)
            hook.load_state_dict(state)
    return None


def test_epochs_of_the_warm_up_do_not_count() -> None:
    falling = [0.5, *np.linspace(0.4, 0.1, 20)]
    assert stops_at(falling, 3, 0, None, 0) == 4
    assert stops_at(falling, 3, 5, None, 0) == 8


def test_a_release_begins_anew_but_keeps_the_best() -> None:
    scores = [0.5, 0.1, 0.1, 0.1, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]
    assert stops_at(scores, 4, 2, None, 0) == 6
    assert stops_at(scores, 4, 2, 3, 0) == 9


@settings(max_examples=100, deadline=None)
@given(
    scores=st.lists(st.sampled_from([0.1, 0.2, 0.3, float('nan')]), max_size=15),
    patience=st.integers(1, 4),
    start=st.integers(0, 4),
    release=st.integers(0, 15),
    resume=st.integers(0, 15),
)
def test_the_rule_in_words(scores: list[float], patience: int, start: int, release: int, resume: int) -> None:
    """Stop after ``patience`` epochs without a new best, of those after the warm-up and since the best."""
    expected, best_so_far, improved = None, -np.inf, 0
    for epoch, score in enumerate(scores, 1):
        if score > best_so_far:
            best_so_far, improved = score, epoch
        begun = release if 0 < release < epoch else 0
        if epoch - max(improved, begun + start) >= patience:
            expected = epoch
            break
    assert stops_at(scores, patience, start, release, resume) == expected
