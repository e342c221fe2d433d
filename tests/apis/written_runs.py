"""Folders with predictions of made-up videos, as ``tools/test.py`` writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from evaluation import simulated_videos as made

from abawfw.results.predictions import write_predictions

LABELS = [made.labels(np.random.default_rng([k, 3]), 60 + 40 * k).clip(-1, 1) for k in range(12)]


def write_run(
    path: Path,
    seed: int,
    noise: float = 0.2,
    targets: tuple[str, ...] = ('valence', 'arousal'),
    videos: int = 12,
) -> Path:
    """A run whose predictions err by ``noise``; runs of other seeds make other errors."""
    rng = np.random.default_rng(seed)
    labels = {f'v{k:02}': LABELS[k] for k in range(videos)}
    for target in targets:
        preds = {v: made.predicted(rng, label, noise) for v, label in labels.items()}
        write_predictions(path / 'predictions', 'val', target, preds, labels, 0)
    return path
