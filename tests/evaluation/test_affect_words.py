"""Words are those of the nearest centre."""

from __future__ import annotations

import numpy as np

from abawfw.evaluation.functional.affect_words import CENTRES, NEUTRAL, affect_words


def test_every_centre_has_its_word_and_every_point_the_nearest() -> None:
    points = np.array(list(CENTRES.values()))
    assert list(affect_words(*points.T)) == list(CENTRES)
    assert 8 <= len(CENTRES) - 1 <= 12
    points = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    found = affect_words(*points.T)
    for (valence, arousal), word in zip(points, found, strict=True):
        far = {name: (valence - v) ** 2 + (arousal - a) ** 2 for name, (v, a) in CENTRES.items()}
        assert far[word] == min(far.values())
    assert set(affect_words(np.linspace(-0.15, 0.15, 9), np.zeros(9))) == {NEUTRAL}


def test_what_is_not_known_has_no_word() -> None:
    assert list(affect_words([np.nan, 0.8, 0.8], [0.5, np.nan, 0.5])) == [None, None, 'happy']
    assert len(affect_words([], [])) == 0
