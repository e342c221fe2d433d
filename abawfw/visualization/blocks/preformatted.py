"""Text with its own line breaks, such as a config."""

from __future__ import annotations

from abawfw.visualization.blocks.base import Block
from abawfw.visualization.embed import escape


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
