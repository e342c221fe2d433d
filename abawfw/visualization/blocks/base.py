"""What all blocks have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Block(ABC):
    """A part of a section of a page."""

    @abstractmethod
    def html(self, uid: str) -> str:
        """The block as HTML, with every text that comes from outside escaped.

        Args:
            uid: an id that no other block of the page has; ids of the block begin with it.
        """
