"""Rules that cut a video into clips."""

from abawfw.datasets.clips.segments import Segments
from abawfw.datasets.clips.sliding_window import SlidingWindow

__all__ = ['Segments', 'SlidingWindow']
