"""How far a CCC would move with other videos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from abawfw.evaluation.functional.moments import Moments, concordance


def bootstrap_ccc(
    videos: Sequence[Moments], replicates: int = 10_000, seed: int = 0, level: float = 0.95
) -> tuple[float, float] | None:
    """Percentile interval of the CCC over all frames, with videos drawn with replacement.

    Frames of a video depend on one another, so videos, not frames, are drawn. A replicate needs only how
    often each video was drawn and the statistics of the videos.

    Args:
        videos: statistics of each video; those without a labelled frame are left out.
        replicates: number of draws.
        seed: of the draws.
        level: share of the replicates inside the interval.

    Returns:
        Lower and upper end; None for fewer than two videos, which say nothing about other videos.
    """
    videos = [v for v in videos if v.n]
    if len(videos) < 2:
        return None
    total = Moments.pool(videos)
    n = np.array([v.n for v in videos], dtype=np.float64)
    true = np.array([v.mean_true for v in videos]) - total.mean_true
    pred = np.array([v.mean_pred for v in videos]) - total.mean_pred
    statistics = np.stack(
        [
            n,
            n * true,
            n * pred,
            np.array([v.square_true for v in videos]) + n * true**2,
            np.array([v.square_pred for v in videos]) + n * pred**2,
            np.array([v.product for v in videos]) + n * true * pred,
        ],
        axis=1,
    )
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(videos), np.full(len(videos), 1 / len(videos)), size=replicates)
    sums = counts.astype(np.float64) @ statistics
    mean_true, mean_pred, square_true, square_pred, product = (sums[:, 1:] / sums[:, :1]).T
    values = concordance(
        total.mean_true + mean_true,
        total.mean_pred + mean_pred,
        np.maximum(square_true - mean_true**2, 0.0),
        np.maximum(square_pred - mean_pred**2, 0.0),
        product - mean_true * mean_pred,
    )
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
