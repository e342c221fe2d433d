"""How runs are named beside figures."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 28  # characters of a name beside a figure: half of a telephone's width, which the figure needs


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
