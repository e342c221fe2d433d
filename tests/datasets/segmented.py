"""Videos cut into segments, as much of them as a sampler looks at."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace

from abawfw.datasets.clips import Segments
from benchmarks import train as useful_share


def clips_of(lengths: Iterable[int], segment: int) -> SimpleNamespace:
    """Videos of these lengths in segments of this length."""
    return useful_share.clips_of(lengths, Segments(segment))
