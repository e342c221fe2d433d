"""The colours of curves, targets and runs: the same in every figure and page.

Colours in one figure differ by at least 20 in CIELAB for readers with normal sight, with protanopia and
with deuteranopia (simulated by Machado et al. 2009), and have a contrast of 3 or more with the ground, light
or dark. No run has the hue of a target. ``tests/visualization/test_palette.py`` measures all of it.
"""

from __future__ import annotations

from typing import NamedTuple

GROUND, INK, FAINT = '#ffffff', '#1f2933', '#5b6672'
LABEL = INK
TARGETS = {'valence': '#b3360d', 'arousal': '#1a5ea8'}
RAW = {'valence': '#db7a4d', 'arousal': '#6797cc'}
"""Of predictions that are not smoothed: a lighter tone of their target."""

BANDS = {'valence': '#f6e4dd', 'arousal': '#e0eaf5'}
"""Of the intervals of a target, behind its curves."""

SERIES = ('#780fa5', '#008769', '#694b00', '#d269b4', '#2da500')
"""Runs, partitions and whatever else is distinguished by colour, beside a label in ``LABEL``."""
DASHES = ('solid', 'dash', 'dot', 'dashdot', 'longdash', 'longdashdot')
MARKS = ('circle', 'diamond', 'square', 'triangle-up', 'x', 'cross', 'star')

TARGET_MARKS = {'valence': 'circle', 'arousal': 'diamond'}
"""Anything that is neither, such as the mean of both, has a square."""

DENSITY = [[0.0, GROUND], [0.02, '#e3edf6'], [0.2, '#9ecae1'], [0.5, '#4a90c2'], [1.0, '#123a63']]
"""Scale of two-dimensional densities, in Plotly's form; nothing has the colour of the ground."""

BAND, BAND_EDGE = '#e6e9ed', '#dde1e6'
"""Stretches of frames behind curves."""

DARK: dict[str, str] = {
    **{GROUND: '#14191f', INK: '#e8ecf0', FAINT: '#9aa7b4', BAND: '#262e37', BAND_EDGE: '#2f3843'},
    **dict(zip(TARGETS.values(), ('#ff9b70', '#6bb5ff'), strict=True)),
    **dict(zip(RAW.values(), ('#b0542f', '#3f78b5'), strict=True)),
    **dict(zip(BANDS.values(), ('#3a2720', '#1d2c3d'), strict=True)),
    **dict(zip(SERIES, ('#d287ff', '#1eb487', '#876900', '#a54b87', '#8dee4e'), strict=True)),
    **dict(zip((str(c) for _, c in DENSITY[1:]), ('#1d2f42', '#2a5f8f', '#62a5dd', '#e3f1ff'), strict=True)),
}
"""What a page draws in place of each colour where the reader's system is set to dark."""


class Look(NamedTuple):
    """How a run, or whatever is distinguished like one, is drawn.

    Attributes:
        color: of its lines and dots.
        dash: of its lines, a name of Plotly's.
        mark: its dots, a name of Plotly's.
    """

    color: str
    dash: str
    mark: str


def look(index: int) -> Look:
    """The look of a run by its place; no two of 30 differ in colour only.

    >>> look(0), look(1)
    (Look(color='#780fa5', dash='solid', mark='circle'), Look(color='#008769', dash='dash', mark='diamond'))
    """
    return Look(*(of[index % len(of)] for of in (SERIES, DASHES, MARKS)))
