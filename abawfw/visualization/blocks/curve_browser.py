"""A table of videos, and the curves of the one that is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from abawfw.visualization.blocks.small import Block
from abawfw.visualization.blocks.table import Table
from abawfw.visualization.embed import escape, to_json
from abawfw.visualization.palette import BAND, BAND_EDGE
from abawfw.visualization.stored_curves import StoredCurves, VideoCurves


class Line(NamedTuple):
    """How a curve is drawn.

    Attributes:
        curve: its name in ``VideoCurves.curves``.
        name: in the legend, as HTML; lines of one name have one entry.
        hover: in the box at the pointer, as HTML: which of all curves it is.
        color: of the line.
        width: of the line, in pixels.
        dash: of the line, a name of Plotly's, such as 'solid' or 'dash'.
        mark: on a few points of the line, a name of Plotly's; '' for none.
        fill: of what lies between the line and the one before it, a colour; '' for none.
    """

    curve: str
    name: str
    hover: str
    color: str
    width: float = 1.3
    dash: str = 'solid'
    mark: str = ''
    fill: str = ''


class Panel(NamedTuple):
    """Lines above one axis of time.

    Attributes:
        title: of the vertical axis.
        lines: what is drawn, the last on top.
        span: ends of the vertical axis, further apart where values lie beyond; None to fit it to the values.
        height: in pixels.
    """

    title: str
    lines: Sequence[Line]
    span: tuple[float, float] | None = None
    height: int = 190


class CurveBrowser(Block):
    """Shows the curves of the video whose row is chosen, by click or Enter, at first those of the first row.

    A link to ``PAGE#video=NAME`` chooses a video, and the address becomes that of the video that is chosen. A
    video's curves are decoded when its row is chosen, over seconds where its times are known and over frames
    where they are not. Frames without a face are shaded.

    Args:
        table: of the videos, with their names as keys.
        videos: curves by name.
        panels: from top to bottom, with one axis of time in common.
    """

    def __init__(
        self,
        table: Table,
        videos: Mapping[str, VideoCurves],
        panels: Sequence[Panel],
    ) -> None:
        self.table = table
        self.panels = panels
        self.stored = StoredCurves(videos)

    def html(self, uid: str) -> str:
        """The table, a place for the curves, and a script of JSON for every video."""
        form = {
            'panels': [{**p._asdict(), 'lines': [line._asdict() for line in p.lines]} for p in self.panels],
            'band': {'fill': BAND, 'edge': BAND_EDGE},
        }
        height = sum(panel.height for panel in self.panels) + 74
        scripts = (
            f'<script type="application/json" data-curves="{uid}" data-key="{escape(video)}">'
            f'{to_json(self.stored.entry(video))}</script>'
            for video in self.stored.videos
        )
        return '\n'.join(
            [
                self.table.html(f'{uid}-table'),
                f'<p class="note">{escape(self.stored.note)}</p>',
                f'<div class="curves" id="{uid}" data-table="{uid}-table">',
                '<p class="warning" role="status" hidden></p>',
                '<div class="title"><h3 aria-live="polite"></h3><a hidden>link to this video</a></div>',
                '<p class="note"></p>',
                f'<div class="plot" role="group" style="height:{height}px"></div></div>',
                f'<script type="application/json" data-panels="{uid}">{to_json(form)}</script>',
                *scripts,
            ]
        )
