"""Colours: told apart by readers with colour blindness, seen on both grounds, of targets or of runs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from abawfw.visualization.palette import (
    BAND,
    BAND_EDGE,
    BANDS,
    DARK,
    DENSITY,
    FAINT,
    GROUND,
    INK,
    LABEL,
    RAW,
    SERIES,
    TARGETS,
    look,
)

# Machado, Oliveira & Fernandes 2009, severity 1.0, for linear RGB
SIGHT = {
    'normal': np.eye(3),
    'protanopia': np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    'deuteranopia': np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}
# IEC 61966-2-1, white of D65
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
FIGURES = {
    'curves of a run': [LABEL, *TARGETS.values(), *RAW.values(), FAINT],
    'curves of runs': [LABEL, *SERIES],
    'scores by target': [*TARGETS.values(), FAINT],
}
GROUNDS = {'light': {}, 'dark': DARK}


def linear(color: str) -> np.ndarray:
    rgb = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(color: str, sight: str = 'normal') -> np.ndarray:
    t = XYZ @ np.clip(SIGHT[sight] @ linear(color), 0, 1) / XYZ.sum(axis=1)
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: str, other: str) -> float:
    low, high = sorted(0.05 + XYZ[1] @ linear(color) for color in (one, other))
    return high / low


def hue(color: str) -> float:
    _, a, b = lab(color)
    return float(np.degrees(np.arctan2(b, a)))


def test_the_measures_themselves() -> None:
    np.testing.assert_allclose(lab('#ff0000'), [53.24, 80.09, 67.20], atol=0.05)  # as published for sRGB
    assert contrast('#000000', '#ffffff') == pytest.approx(21)
    red, green = '#c00000', '#006400'  # what deuteranopia confuses
    seen = [np.linalg.norm(lab(red, sight) - lab(green, sight)) for sight in ('normal', 'deuteranopia')]
    assert seen[0] > 2 * seen[1]


@pytest.mark.parametrize('sight', SIGHT)
@pytest.mark.parametrize('ground', GROUNDS)
@pytest.mark.parametrize('figure', FIGURES)
def test_what_shares_a_figure_is_told_apart(figure: str, ground: str, sight: str) -> None:
    colors = [GROUNDS[ground].get(color, color) for color in FIGURES[figure]]
    apart = {
        pair: np.linalg.norm(lab(pair[0], sight) - lab(pair[1], sight)) for pair in combinations(colors, 2)
    }
    assert min(apart.values()) >= 20, min(apart, key=apart.__getitem__)


@pytest.mark.parametrize('ground', GROUNDS)
def test_every_line_is_seen_on_its_ground(ground: str) -> None:
    replaced = GROUNDS[ground]
    back = replaced.get(GROUND, GROUND)
    for color in {color for colors in FIGURES.values() for color in colors}:
        assert contrast(replaced.get(color, color), back) >= 3, color
    assert contrast(replaced.get(INK, INK), back) >= 7


@pytest.mark.parametrize('ground', GROUNDS)
def test_no_run_has_the_hue_of_a_target(ground: str) -> None:
    for run in SERIES:
        for target in TARGETS.values():
            a, b = (hue(GROUNDS[ground].get(color, color)) for color in (run, target))
            assert abs((a - b + 180) % 360 - 180) >= 30, (run, target)


def test_every_colour_has_its_counterpart() -> None:
    used = {GROUND, INK, FAINT, BAND, BAND_EDGE, *TARGETS.values(), *RAW.values(), *BANDS.values(), *SERIES}
    used |= {str(color) for _, color in DENSITY}
    assert set(DARK) == used
    assert len(set(DARK.values())) == len(DARK)


def test_runs_differ_in_more_than_colour() -> None:
    looks = [look(i) for i in range(30)]
    assert len({(one.color, one.dash) for one in looks}) == 30
    assert len({(one.color, one.mark) for one in looks}) == 30
    first, second = looks[:2]
    assert first.dash != second.dash
    assert first.mark != second.mark
