"""How runs are told apart: colours, dashes, marks, and names that fit beside an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from abawfw.visualization.palette import SERIES

LONGEST = 28  # characters of a name beside a figure: half of a telephone's width, which the figure needs
DASHES = ('solid', 'dash', 'dot', 'dashdot')
MARKS = ('circle', 'diamond', 'square', 'cross')


class Look(NamedTuple):
    """How a run is drawn.

    Attributes:
        color: of its lines and dots.
        dash: of its lines, in Plotly's words.
        mark: its dots, in Plotly's words.
    """

    color: str
    dash: str
    mark: str


def look(run: int) -> Look:
    """The look of a run by its place; where colours come again, dashes and marks are others."""
    turn = run // len(SERIES)
    return Look(SERIES[run % len(SERIES)], DASHES[turn % len(DASHES)], MARKS[turn % len(MARKS)])


def short_names(names: Sequence[str]) -> list[str]:
    """The names, the middle of long ones left out; with numbers before them where these would be the same."""
    short = [_short(name, LONGEST) for name in names]
    return [
        f'{k + 1}: {_short(name, LONGEST - 4)}' if short.count(short[k]) > 1 else short[k]
        for k, name in enumerate(names)
    ]


def _short(name: str, longest: int) -> str:
    if len(name) <= longest:
        return name
    head = (longest - 1) // 2
    return f'{name[:head]}…{name[len(name) - (longest - 1 - head) :]}'
