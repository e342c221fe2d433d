"""Rules that cut a video into clips."""

from abawfw.datasets.clips.rules import Segments, SlidingWindow

__all__ = ['Segments', 'SlidingWindow']
