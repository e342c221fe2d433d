"""Curves of one video in one figure, with its face along the time axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.transforms import blended_transform_factory
from numpy.typing import NDArray

from abawfw.files import Replacement
from abawfw.visualization.palette import TARGETS as COLORS

matplotlib.use('Agg')  # figures go to files; no screen is needed


GREY, GAP = '#555555', '#e3e3e3'
DPI = 120
WIDTH = 12.0  # inches
THUMBNAILS = 12
THUMBNAIL = 0.78  # inches, side of a thumbnail


class Thumbnail(NamedTuple):
    """A face, and the row of the table that it belongs to."""

    row: int
    rgb: NDArray[np.uint8]


def thumbnail_rows(seen: NDArray[np.bool_], count: int = THUMBNAILS) -> list[int]:
    """Rows spread over a video whose faces are to be shown: at most one in each of ``count`` equal parts.

    Args:
        seen: (frames,) where there is a face.
        count: number of parts.
    """
    rows = []
    for part in np.array_split(np.arange(len(seen)), count):
        there = part[seen[part]]
        if len(there):  # the one nearest to the middle of the part
            rows.append(int(there[np.argmin(np.abs(there - part.mean()))]))
    return rows


def draw_curves(
    path: Path,
    table: pd.DataFrame,
    title: str,
    thumbnails: Sequence[Thumbnail] = (),
    levels: Mapping[str, str] | None = None,
) -> None:
    """Draw raw and smoothed curves over time with their intervals, grey where there is no face, faces below.

    The file appears under its name when it is complete.

    Args:
        path: file to write; its suffix says the format.
        table: as ``VAInferencer`` gives it.
        title: above the curves.
        thumbnails: faces to show, in order of their rows.
        levels: what the intervals of each target are called in the legend, such as 'valence, 90 %'.
    """
    targets = [target for target in COLORS if target in table]
    times, unit = _axis(table)
    faces = (THUMBNAIL + 0.12) if thumbnails else 0.0
    height = 3.6 + faces
    figure = plt.figure(figsize=(WIDTH, height))
    left, right, top, bottom = 0.75 / WIDTH, 1 - 0.25 / WIDTH, 1 - 0.45 / height, (0.55 + faces) / height
    axis = figure.add_axes((left, bottom, right - left, top - bottom))
    axis.axhline(0, color=GREY, linewidth=0.6)
    for target in targets:
        if f'{target}_low' in table:
            ends, label = (table[f'{target}_low'], table[f'{target}_high']), (levels or {}).get(target)
            look: dict[str, Any] = {'facecolor': (COLORS[target], 0.1), 'edgecolor': (COLORS[target], 0.5)}
            axis.fill_between(times, *ends, **look, linewidth=0.6, label=label)
        axis.plot(times, table[f'{target}_raw'], color=COLORS[target], linewidth=0.7, alpha=0.35)
        axis.plot(times, table[target], color=COLORS[target], linewidth=1.9, label=target)
        if len(times) == 1:  # a line of one point is invisible
            axis.plot(times, table[target], 'o', color=COLORS[target])
    axis.plot([], [], color=GREY, linewidth=0.9, alpha=0.6, label='not smoothed')
    _shade(axis, times, table['face'].fillna(True).to_numpy(dtype=bool))
    raw = table[[f'{target}_raw' for target in targets]].to_numpy(float)
    most = 1.05 * np.nanmax(np.abs(raw), initial=1)  # what a model gives may lie beyond the labels
    axis.set_ylim(-most, most)
    axis.set_yticks([-1, -0.5, 0, 0.5, 1])
    pad = 0.5 if len(times) == 1 else 0.0
    axis.set_xlim(times[0] - pad, times[-1] + pad)
    axis.grid(alpha=0.25)
    axis.spines[['top', 'right']].set_visible(False)
    axis.set_xlabel(unit)
    axis.legend(
        loc='lower right', bbox_to_anchor=(1, 1), ncols=6, fontsize=9, frameon=False, borderaxespad=0.2
    )
    figure.text(left, 1 - 0.3 / height, title, fontsize=11, parse_math=False)
    if thumbnails:
        _thumbnails(figure, axis, times, thumbnails)
    try:
        save_figure(figure, path, DPI)
    finally:
        plt.close(figure)


def _axis(table: pd.DataFrame) -> tuple[NDArray[np.float64], str]:
    """Where each row lies, and the axis label; frames where the time is unknown."""
    times = table.index.to_numpy(dtype=np.float64)
    if np.isnan(times).any():
        return table['frame'].to_numpy(dtype=np.float64), 'frame (time unknown)'
    if times[-1] > 600:
        return times / 60, 'time in minutes'
    return times, 'time in seconds'


def _shade(axis: plt.Axes, times: NDArray[np.float64], face: NDArray[np.bool_]) -> None:
    """Grey where there is no face."""
    edges = np.flatnonzero(np.diff(np.r_[0, ~face, 0]))
    for number, (start, stop) in enumerate(zip(edges[::2], edges[1::2], strict=True)):
        end = times[min(stop, len(times) - 1)]
        axis.axvspan(times[start], end, color=GAP, linewidth=0, zorder=0, label=None if number else 'no face')


def _thumbnails(
    figure: plt.Figure, axis: plt.Axes, times: NDArray[np.float64], thumbnails: Sequence[Thumbnail]
) -> None:
    """A row of faces under the axis, each joined to its time; none covers another one."""
    inches = axis.get_position().width * WIDTH
    low, high = axis.get_xlim()
    per_inch = (high - low) / inches
    wanted = np.array([times[t.row] for t in thumbnails])
    places = _apart(wanted, (THUMBNAIL + 0.06) * per_inch, low, high)
    mixed = blended_transform_factory(axis.transData, figure.transFigure)
    height = figure.get_size_inches()[1]
    middle = (0.08 + THUMBNAIL / 2) / height
    foot = axis.get_position().y0
    for thumbnail, place, time in zip(thumbnails, places, wanted, strict=True):
        zoom = THUMBNAIL * 72 / max(thumbnail.rgb.shape[:2])
        box = AnnotationBbox(
            OffsetImage(thumbnail.rgb, zoom=zoom),
            (float(place), middle),
            xycoords=mixed,
            frameon=False,
            annotation_clip=False,
        )
        axis.add_artist(box)
        axis.plot([time], [foot], '^', color=GREY, markersize=6, transform=mixed, clip_on=False, zorder=5)


def _apart(wanted: NDArray[np.float64], width: float, low: float, high: float) -> NDArray[np.float64]:
    """Middles of boxes of this width, near where they are wanted, in order and beside one another.

    The boxes fit: there are no more of them than between ``low`` and ``high``, or they divide it evenly.
    """
    n = len(wanted)
    if n * width > high - low:
        width = (high - low) / n
    places = np.clip(wanted, low + width / 2, high - width / 2)
    for i in range(1, n):
        places[i] = max(places[i], places[i - 1] + width)
    places[-1] = min(places[-1], high - width / 2)
    for i in range(n - 2, -1, -1):
        places[i] = min(places[i], places[i + 1] - width)
    return places


def save_figure(figure: Any, path: Path, dpi: int) -> None:
    """Write a figure of matplotlib beside ``path`` and rename it; the suffix says the format."""
    # publishers refuse the Type 3 fonts that are Matplotlib's default
    with Replacement(path) as temporary, matplotlib.rc_context({'pdf.fonttype': 42}):
        figure.savefig(temporary, dpi=dpi, format=path.suffix.removeprefix('.') or None)
