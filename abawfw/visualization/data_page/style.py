"""What the figures of a data set's page have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from abawfw.visualization.embed import plot_text
from abawfw.visualization.palette import look


def colours(partitions: Iterable[str]) -> dict[str, str]:
    """A colour for each partition."""
    return {name: look(i).color for i, name in enumerate(partitions)}


def dashes(partitions: Iterable[str]) -> dict[str, str]:
    """A dash for each partition, for lines that nothing else tells apart."""
    return {name: look(i).dash for i, name in enumerate(partitions)}


def line(name: str, colour: str, x: Any, y: Any, **more: Any) -> dict[str, Any]:
    """A line of a figure."""
    return {
        'type': 'scatter',
        'mode': 'lines',
        'name': plot_text(name),
        'x': x,
        'y': y,
        'line': {'color': colour, 'width': 2},
        **more,
    }
