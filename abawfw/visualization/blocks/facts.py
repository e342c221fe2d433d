"""A list of names and values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abawfw.visualization.blocks.base import Block
from abawfw.visualization.embed import escape


class Facts(Block):
    """Names and values in columns, such as versions and times.

    Args:
        facts: texts or numbers by name; None stands for what is not known.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = facts

    def html(self, uid: str) -> str:
        """The list."""
        items = (
            f'<div><dt>{escape(name)}</dt><dd>{"not known" if value is None else escape(value)}</dd></div>'
            for name, value in self.facts.items()
        )
        return f'<dl class="facts">{"".join(items)}</dl>'
