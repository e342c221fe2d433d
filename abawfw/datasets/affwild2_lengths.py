"""How long the videos of Aff-Wild2 are."""

from __future__ import annotations

import numpy as np

LENGTH_QUANTILES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
# Frames per video at these quantiles, videos, and frames of all videos: docs/challenge.md.
LENGTHS = {
    'train': (263, 1220, 2640, 3899, 5405, 10529, 47435),
    'val': (73, 296, 1810, 4089, 8093, 11370, 18189),
    'test': (128, 786, 2682, 4230, 7759, 16357, 26618),
}
TOTALS = {'train': (356, 1_682_057), 'val': (76, 383_814), 'test': (162, 927_210)}


def lengths_at(quantiles: np.ndarray, partition: str) -> np.ndarray:
    """Frames of a video at these quantiles, between the known ones on a logarithmic scale; float64."""
    return np.exp(np.interp(quantiles, LENGTH_QUANTILES, np.log(LENGTHS[partition])))


def draw_lengths(partition: str, seed: int) -> list[int]:
    """Frames of as many videos as the partition has, drawn at random and scaled to its number of frames."""
    videos, frames = TOTALS[partition]
    drawn = lengths_at(np.random.default_rng(seed).random(videos), partition)
    return np.maximum(1, drawn * frames / drawn.sum()).round().astype(int).tolist()
