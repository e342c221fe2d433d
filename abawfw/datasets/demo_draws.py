"""What is drawn for every demo data set: lengths, missing faces, frames without a label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.affwild2_lengths import lengths_at

RATES, RATE_SHARES = (30.0, 30000 / 1001, 25.0, 24.0, 15.0), (0.42, 0.25, 0.2, 0.08, 0.05)
# Missing faces: .94 observed on average, most of what is missing in 30 % of the videos;
# gaps of 2 frames in the median, 88 at the 99th percentile: what is drawn here is rounded up, and gaps meet.
HARD_SHARE, MISSING_HARD, MISSING_EASY = 0.3, 0.17, 0.012
GAP_MEDIAN, GAP_SPREAD = 1.6, 1.72
# Runs without a label: in one video of a hundred, 116 to 1530 frames.
UNLABELLED_SHARE, UNLABELLED_FRAMES = 0.01, (116, 1530)


def draw_lengths(
    rng: np.random.Generator, partition: str, count: int, scale: float, shortest: int
) -> NDArray[np.int64]:
    """Quantiles of the lengths of Aff-Wild2, so that a small set has short and long videos too."""
    quantiles = (np.arange(count) + 0.5) / max(count, 1)
    lengths = lengths_at(quantiles, partition)
    return rng.permutation(np.maximum(np.round(lengths * scale), shortest).astype(np.int64))


def choose_runs(partition: str, counts: dict[str, int], lengths: NDArray[np.int64]) -> list[int]:
    """Videos of train that get a run without labels: 1 % of all labelled ones, at least one, rather long."""
    if partition != 'train':
        return []
    wanted = max(1, round(UNLABELLED_SHARE * (counts['train'] + counts['val'])))
    longest = np.argsort(-lengths, kind='stable')
    return sorted(int(i) for i in longest[len(longest) // 4 :][:wanted])


def draw_run(rng: np.random.Generator, num_frames: int) -> slice:
    """A run without labels, at most a third of the video."""
    low, high = np.log(UNLABELLED_FRAMES)
    length = min(int(np.exp(rng.uniform(low, high))), num_frames // 3)
    start = int(rng.integers(0, num_frames - length + 1))
    return slice(start, start + length)


def draw_faces(rng: np.random.Generator, num_frames: int, missing: float) -> NDArray[np.bool_]:
    """Where a face was found, (frames,) bool: gaps until the share that is missing is reached."""
    observed = np.ones(num_frames, bool)
    wanted = int(missing * num_frames * rng.uniform(0.5, 1.5))
    while (left := wanted - int(np.count_nonzero(~observed))) > 0:
        gap = int(np.ceil(GAP_MEDIAN * np.exp(GAP_SPREAD * rng.standard_normal())))
        start = int(rng.integers(0, num_frames))
        observed[start : start + min(gap, left)] = False
    return observed


def draw_hard(rng: np.random.Generator, count: int) -> NDArray[np.bool_]:
    """Videos, (count,) bool, in which most of the missing faces are."""
    return np.asarray(rng.permutation(count) < round(HARD_SHARE * count))
