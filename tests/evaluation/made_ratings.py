"""Ratings whose agreement and delays are known, made up or those of a film."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from scipy.ndimage import gaussian_filter1d

from abawfw.evaluation.functional import VideoRatings

OBSERVERS = 9


def course(rng: np.random.Generator, frames: int, fps: float, seconds: float = 1.5) -> np.ndarray:
    """A curve of standard deviation .4 that changes within so many seconds."""
    smooth = gaussian_filter1d(rng.standard_normal(frames), seconds * fps)
    return 0.4 * (smooth - smooth.mean()) / smooth.std()


def ratings(
    delays: Sequence[float], videos: int = 6, seconds: float = 60, fps: float = 25, noise: float = 0.1
) -> dict[str, VideoRatings]:
    """Raters a, b, ... who follow one curve, so many seconds late; those of NaN say something else."""
    rng = np.random.default_rng(0)
    names = tuple('abcdefghij'[: len(delays)])
    times = np.arange(round(seconds * fps)) / fps
    found = {}
    for i in range(videos):
        true = course(rng, len(times), fps)
        own = [true if np.isfinite(d) else course(rng, len(times), fps) for d in delays]
        late = [np.interp(times - np.nan_to_num(d), times, of) for d, of in zip(delays, own, strict=True)]
        errors = [noise * course(rng, len(times), fps) / 0.4 for _ in delays]
        found[f'v{i}'] = VideoRatings(names, np.array(late) + errors, times)
    return found


def film(shared: Path, target: str, partitions: Sequence[str] = ('val',)) -> dict[str, VideoRatings]:
    """What nine observers of a film say, five values a second."""
    found = {}
    for partition in partitions:
        with h5py.File(shared / f'data/gump/raters/{partition}_raters.h5') as file:
            names = tuple(str(name) for name in file.attrs['raters'])[:OBSERVERS]
            for clip in file:
                values = file[clip][target][:OBSERVERS].astype(np.float64)
                found[clip] = VideoRatings(names, values, np.arange(values.shape[1]) / 5)
    return found
