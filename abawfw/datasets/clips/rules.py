"""Clips back to back, and overlapping ones."""

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


@CLIPS.register_module()
class SlidingWindow:
    """Cut a video into windows every ``hop`` frames, a last one flush with the end if a tail is left.

    A video shorter than a window gives one clip, the whole video (docs/tagf.md, Data).

    Args:
        length: frames of a window.
        hop: frames from the start of one window to the start of the next.

    Raises:
        ConfigError: a hop below 1, or longer than the window, which would leave frames out.
    """

    def __init__(self, length: Count, hop: Count) -> None:
        if not 1 <= hop <= length:
            raise ConfigError(
                f'SlidingWindow(length={length}, hop={hop}): hop must lie in 1 .. length, '
                'or frames would be in no window'
            )
        self.length = length
        self.hop = hop

    def cut(self, num_frames: int) -> list[tuple[int, int]]:
        """(start, stop) of every clip of a video of ``num_frames`` frames, in order."""
        if num_frames <= self.length:
            return [(0, num_frames)] if num_frames else []
        last = num_frames - self.length
        starts = list(range(0, last + 1, self.hop))
        if starts[-1] != last:
            starts.append(last)
        return [(s, s + self.length) for s in starts]
