"""A paragraph of text."""

from __future__ import annotations

from abawfw.visualization.blocks.base import Block
from abawfw.visualization.embed import escape


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
