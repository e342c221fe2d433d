"""Numbers of frames drawn like those of Aff-Wild2, and what samplers make of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import SimpleNamespace

import numpy as np

from abawfw.datasets.clip_dataset import Clip
from abawfw.datasets.clips import Segments

# Frames per video at these shares of the videos, number of videos, frames in all (spec/affwild2.md).
SHARES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
LENGTHS = {
    'train': ((263, 1220, 2640, 3899, 5405, 10529, 47435), 356, 1_682_057),
    'val': ((73, 296, 1810, 4089, 8093, 11370, 18189), 76, 383_814),
}


def aff_wild2_lengths(partition: str, seed: int) -> list[int]:
    """Lengths between the known quantiles, scaled to the known sum."""
    quantiles, videos, frames = LENGTHS[partition]
    u = np.random.default_rng(seed).random(videos)
    drawn = np.exp(np.interp(u, SHARES, np.log(quantiles)))
    return np.maximum(1, drawn * frames / drawn.sum()).round().astype(int).tolist()


def clips_of(lengths: Iterable[int], segment: int) -> SimpleNamespace:
    """As much of a dataset as a sampler looks at."""
    cut = Segments(segment).cut
    return SimpleNamespace(
        clips=[
            Clip(video, start, stop, position)
            for video, n in enumerate(lengths)
            for position, (start, stop) in enumerate(cut(n))
        ]
    )


def useful_share(dataset: SimpleNamespace, batches: Sequence) -> float:
    """Frames that exist among the frames computed."""
    lengths = [clip.stop - clip.start for clip in dataset.clips]
    rows = [[lengths[request.clip] for request in batch] for batch in batches]
    return sum(map(sum, rows)) / sum(len(row) * max(row) for row in rows)
