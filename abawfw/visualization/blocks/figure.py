"""A figure that Plotly draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abawfw.visualization.blocks.base import Block
from abawfw.visualization.embed import escape, to_json


class Figure(Block):
    """A Plotly figure with its description.

    Fonts, colours of axes, margins and the legend are the page's; give only what is particular. The legend
    stands above the figure, where there are two names or the layout asks for it, and omits traces with
    ``showlegend`` False. Colours of ``palette`` have counterparts that are drawn on a dark ground.
    Texts that come from outside go through :func:`abawfw.visualization.embed.plot_text`. Give densities
    computed with numpy, not millions of points.

    Args:
        figure: ``{'data': [...], 'layout': {...}}``, with arrays of numpy where you like.
        label: what it shows, in a sentence, for those who cannot see it.
        caption: text below it.
        height: in pixels.
        title: heading above it; leave titles out of the layout, where they do not wrap.
    """

    def __init__(
        self, figure: Mapping[str, Any], label: str, caption: str = '', height: int = 340, title: str = ''
    ) -> None:
        self.figure = figure
        self.label = label
        self.caption = caption
        self.height = height
        self.title = title

    def html(self, uid: str) -> str:
        """A place for the figure, its content as JSON, and the caption."""
        content = {'data': self.figure['data'], 'layout': self.figure.get('layout', {})}
        title = f'<h3>{escape(self.title)}</h3>' if self.title else ''
        caption = f'<figcaption>{escape(self.caption)}</figcaption>' if self.caption else ''
        look = f'role="group" aria-label="{escape(self.label)}" style="height:{self.height}px"'
        script = f'<script type="application/json" data-figure="{uid}">{to_json(content)}</script>'
        return f'<figure>{title}<div class="plot" id="{uid}" {look}></div>{script}{caption}</figure>'
