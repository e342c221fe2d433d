"""Clips back to back."""

from __future__ import annotations

from abawfw.components import Count
from abawfw.errors import ConfigError
from abawfw.registry import CLIPS


@CLIPS.register_module()
class Segments:
    """Cut a video into segments back to back; the last one may be shorter (docs/rucaim3.md, The four models).

    Args:
        length: frames of a segment.

    Raises:
        ConfigError: a length below 1.
    """

    def __init__(self, length: Count) -> None:
        if length < 1:
            raise ConfigError(f'Segments(length={length}): a segment has at least one frame')
        self.length = length

    def cut(self, num_frames: int) -> list[tuple[int, int]]:
        """(start, stop) of every clip of a video of ``num_frames`` frames, in order."""
        return [(s, min(s + self.length, num_frames)) for s in range(0, num_frames, self.length)]
