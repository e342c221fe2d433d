"""How far a CCC would move with other videos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from abawfw.evaluation.functional.moments import Moments
from abawfw.evaluation.functional.studentised import studentised
from abawfw.evaluation.functional.video_sums import VideoSums

LEAST_VIDEOS = 4  # of 3, every ninth draw is one video thrice, which has no standard error
# A video with nearly all frames is nearly the whole, so that draws of videos hardly move the CCC: with 97 %
# of the frames in one of 8 videos, intervals would hold the true CCC in half of the cases.
LEAST_EVEN_VIDEOS = 3.0
ROUNDING = 1e-12  # errors below this are those of floating point


def interval_obstacle(videos: Sequence[Moments]) -> str | None:
    """Why these videos have no interval and no p-value, in words; None if they have.

    Uneven lengths count as fewer videos, (sum of frames)^2 / sum of squared frames (Kish 1965, Survey
    Sampling).

    Args:
        videos: statistics of each video; those without a labelled frame do not count.
    """
    frames = np.array([v.n for v in videos if v.n], dtype=np.float64)
    if len(frames) < LEAST_VIDEOS:
        return f'{len(frames)} labelled video(s): an interval over videos needs {LEAST_VIDEOS} or more'
    even = frames.sum() ** 2 / (frames**2).sum()
    if even < LEAST_EVEN_VIDEOS:
        return (
            f'one of the {len(frames)} labelled videos has {frames.max() / frames.sum():.0%} of the frames, '
            f'so they count as {even:.1f}: an interval over videos needs {LEAST_EVEN_VIDEOS:.0f} or more'
        )
    return None


def bootstrap_ccc(
    videos: Sequence[Moments], replicates: int = 10_000, seed: int = 0
) -> tuple[float, float] | None:
    """95 % interval of the CCC over all frames, on the scale of Fisher's z.

    Args:
        videos: statistics of each video; those without a labelled frame are left out.
        replicates: number of draws.
        seed: of the draws.

    Returns:
        Lower and upper end; None where ``interval_obstacle`` says why.
    """
    videos = [v for v in videos if v.n]
    if interval_obstacle(videos):
        return None
    sums = VideoSums(videos)

    def score(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, influence = sums.score(weights)
        room = np.maximum(1 - value**2, 1e-12)
        return np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12)), influence / room[:, None]

    z = studentised(score, len(videos), replicates, seed)
    reach = z.quantile(0.95) * z.error if z.error > ROUNDING else 0.0
    return float(np.tanh(z.value - reach)), float(np.tanh(z.value + reach))
