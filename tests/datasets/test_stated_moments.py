"""Statistics in a file are held against a sample of frames, evenly spread over all videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets.memory_store import MemoryStore

from abawfw.datasets.stores.stated_moments import SAMPLE, refuse_stale
from abawfw.errors import DataError


@pytest.mark.parametrize('lengths', [(40, 3), (300, 3, 400, 1, 200), (3000, 1, 20_000, 40)])
def test_the_sample_is_evenly_spread(lengths: tuple[int, ...]) -> None:
    """Videos with few of its frames are read frame by frame, others at once: no other frame may count."""
    store = MemoryStore(lengths, {'face': (3,)})
    names = [video.video_id for video in store.videos()]
    values = np.concatenate([store.data[name, 'face'] for name in names]).astype(np.float64)
    at = np.unique(np.linspace(0, len(values) - 1, min(SAMPLE, len(values))).astype(int))
    stated = values[at].mean(axis=0), values[at].std(axis=0)
    others = np.setdiff1d(np.arange(len(values)), at)
    values[others] = 1e6
    ends = np.cumsum(lengths)[:-1]
    for name, part in zip(names, np.split(values.astype(np.float32), ends), strict=True):
        store.data[name, 'face'] = part
    refuse_stale(store, 'face', names, stated, Path('moments.h5'))
    with pytest.raises(DataError, match=r"^moments\.h5: feature 'face': mean .* are not those of the frames"):
        refuse_stale(store, 'face', names, (stated[0] + 100, stated[1]), Path('moments.h5'))
