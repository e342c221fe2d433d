"""What a page is built of: paragraphs, facts, figures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from abawfw.visualization.embed import escape, to_json


class Block(ABC):
    """A part of a section of a page."""

    @abstractmethod
    def html(self, uid: str) -> str:
        """The block as HTML, with every text that comes from outside escaped.

        Args:
            uid: an id that no other block of the page has; ids of the block begin with it.
        """


class Paragraph(Block):
    """Plain text.

    Args:
        text: without markup.
        warning: whether the reader must not miss it.
    """

    def __init__(self, text: str, warning: bool = False) -> None:
        self.text = text
        self.warning = warning

    def html(self, uid: str) -> str:
        """The paragraph."""
        return f'<p{" class=warning" if self.warning else ""}>{escape(self.text)}</p>'


class Preformatted(Block):
    """Text in a box that scrolls, folded away until its title is clicked.

    Args:
        title: of the fold.
        text: shown as it is.
        opened: whether it is unfolded from the start.
    """

    def __init__(self, title: str, text: str, opened: bool = False) -> None:
        self.title = title
        self.text = text
        self.opened = opened

    def html(self, uid: str) -> str:
        """The fold with its text; the box can be focused, so that keys scroll it."""
        state = ' open' if self.opened else ''
        box = f'<pre tabindex="0" aria-label="{escape(self.title)}">{escape(self.text)}</pre>'
        return f'<details{state}><summary>{escape(self.title)}</summary>{box}</details>'


class SideBySide(Block):
    """Blocks in a row as far as the width allows, below one another where it does not.

    Args:
        blocks: usually figures.
    """

    def __init__(self, *blocks: Block) -> None:
        self.blocks = blocks

    def html(self, uid: str) -> str:
        """The row."""
        parts = (f'<div>{block.html(f"{uid}-{i}")}</div>' for i, block in enumerate(self.blocks))
        return f'<div class="side-by-side">{"".join(parts)}</div>'


class Facts(Block):
    """Names and values in columns, such as versions and times.

    Args:
        facts: texts or numbers by name; None stands for an unknown value.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = facts

    def html(self, uid: str) -> str:
        """The list."""
        items = (
            f'<div><dt>{escape(name)}</dt><dd>{"unknown" if value is None else escape(value)}</dd></div>'
            for name, value in self.facts.items()
        )
        return f'<dl class="facts">{"".join(items)}</dl>'


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
