"""Blocks beside one another."""

from __future__ import annotations

from abawfw.visualization.blocks.base import Block


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
