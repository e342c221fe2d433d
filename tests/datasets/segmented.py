"""Videos cut into segments, as much of them as a sampler looks at."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st

from abawfw.datasets.clips import Segments
from benchmarks import train as useful_share


def clips_of(lengths: Iterable[int], segment: int) -> SimpleNamespace:
    """Videos of these lengths in segments of this length."""
    return useful_share.clips_of(lengths, Segments(segment))


MANY = clips_of(range(1, 60), 4)


def setups(size: str) -> st.SearchStrategy[dict[str, Any]]:
    """Videos, and the arguments of a sampler whose batches are as large as the one called `size` says."""
    return st.fixed_dictionaries(
        {
            'lengths': st.lists(st.integers(1, 30), min_size=1, max_size=15),
            'segment': st.integers(1, 12),
            size: st.integers(1, 5),
            'world_size': st.integers(1, 3),
            'shuffle': st.booleans(),
            'seed': st.integers(0, 9),
            'epoch': st.integers(0, 9),
        }
    )
