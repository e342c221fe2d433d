"""The CCC over draws of videos, and what each video contributes to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from abawfw.evaluation.functional.ccc import Moments, concordance


class Score(NamedTuple):
    """A CCC for each draw, (draws,), and its change per unit of weight of each video, (draws, videos)."""

    value: np.ndarray
    influence: np.ndarray


class VideoSums:
    """The `Moments` of videos as a table of plain sums: those of any number of draws are one product with it.

    Values are taken about the means over all frames, so that long videos lose no digits.

    Args:
        videos: statistics of each video; a video without a labelled frame counts for nothing.
        centre: other means of labels and predictions to take values about.

    Attributes:
        centre: means of labels and predictions that values are taken about.
        sums: (videos, 6), of frames, labels, predictions, their squares and their product.
    """

    def __init__(self, videos: Sequence[Moments], centre: tuple[float, float] | None = None) -> None:
        total = Moments.pool(videos)
        self.centre = centre or (total.mean_true, total.mean_pred)
        n = np.array([v.n for v in videos], dtype=np.float64)
        true = np.array([v.mean_true for v in videos]) - self.centre[0]
        pred = np.array([v.mean_pred for v in videos]) - self.centre[1]
        self.sums = np.stack(
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

    def score(self, weights: np.ndarray) -> Score:
        """CCC over the frames of a draw of videos, 0 where it has none.

        Args:
            weights: (draws, videos), how often each video counts.
        """
        totals = weights @ self.sums
        means, value = ccc_of_sums(totals, self.centre)
        mean_true, mean_pred, square_true, square_pred, _ = means.T
        apart = self.centre[0] - self.centre[1] + mean_true - mean_pred
        spread = square_true - mean_true**2 + square_pred - mean_pred**2 + apart**2
        spread = np.where(spread > 0, spread, np.inf)
        # derivatives of 2 covariance and of the spread by the five means
        gradient = np.stack(
            [
                -2 * mean_pred - value * 2 * (apart - mean_true),
                -2 * mean_true + value * 2 * (apart + mean_pred),
                -value,
                -value,
                np.full_like(value, 2.0),
            ],
            axis=1,
        )
        gradient /= spread[:, None] * np.maximum(totals[:, :1], 1.0)
        level = np.sum(gradient * means, axis=1)
        return Score(value, gradient @ self.sums[:, 1:].T - level[:, None] * self.sums[:, 0])


class MeanScore:
    """The mean CCC of several runs over the same videos, such as those of one config with several seeds.

    Args:
        runs: of each run the statistics of each video.
    """

    def __init__(self, runs: Sequence[Sequence[Moments]]) -> None:
        self.runs = [VideoSums(videos) for videos in runs]

    def score(self, weights: np.ndarray) -> Score:
        """See `VideoSums.score`."""
        scores = [run.score(weights) for run in self.runs]
        if len(scores) == 1:
            return scores[0]
        return Score(
            np.mean([score.value for score in scores], axis=0),
            np.mean([score.influence for score in scores], axis=0),
        )


def ccc_of_sums(totals: np.ndarray, centre: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Means, (draws, 5), and CCC, (draws,), of summed sums, (draws, 6)."""
    means = totals[:, 1:] / np.maximum(totals[:, :1], 1.0)
    mean_true, mean_pred, square_true, square_pred, product = means.T
    value = concordance(
        centre[0] + mean_true,
        centre[1] + mean_pred,
        np.maximum(square_true - mean_true**2, 0.0),
        np.maximum(square_pred - mean_pred**2, 0.0),
        product - mean_true * mean_pred,
    )
    return means, value
