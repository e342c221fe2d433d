"""Statistics from which the CCC of every weighted mean of runs follows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from abawfw.evaluation.functional import Moments
from abawfw.evaluation.functional.ccc import concordance

EXACT = 1e-12  # errors that vary less than this fraction of labels and predictions are rounding


class RunMoments:
    """All that the CCC of any weighted mean of runs needs of a set of frames.

    Attributes:
        n: labelled frames.
        mean: (runs + 1,), of the runs' predictions and, last, of the labels.
        product: (runs + 1, runs + 1), sums of products about the means.
    """

    def __init__(self, n: int, mean: np.ndarray, product: np.ndarray) -> None:
        self.n, self.mean, self.product = n, mean, product

    @classmethod
    def of(cls, label: np.ndarray, preds: Sequence[np.ndarray]) -> RunMoments:
        """Statistics of one video: labels (frames,), NaN where there is none, and each run's predictions."""
        values = np.stack([*preds, label])[:, ~np.isnan(label)]
        n = values.shape[1]
        mean = values.mean(axis=1) if n else np.zeros(len(values))
        centred = values - mean[:, None]
        return cls(n, mean, centred @ centred.T)

    @classmethod
    def pool(cls, parts: Sequence[RunMoments]) -> RunMoments:
        """Statistics of all frames of all ``parts`` (at least one)."""
        count = np.array([part.n for part in parts], dtype=np.float64)
        means = np.stack([part.mean for part in parts])
        mean = count @ means / max(count.sum(), 1.0)
        away = means - mean
        product = sum(part.product for part in parts) + (away * count[:, None]).T @ away
        return cls(int(count.sum()), mean, product)

    @property
    def runs(self) -> int:
        """Number of runs."""
        return len(self.mean) - 1

    def without(self, run: int) -> RunMoments:
        """Statistics of the other runs on the same frames."""
        product = np.delete(np.delete(self.product, run, axis=0), run, axis=1)
        return RunMoments(self.n, np.delete(self.mean, run), product)

    def ccc(self, weights: np.ndarray) -> np.ndarray:
        """CCC of weighted means of the runs, (...); 0 where one, or the label, is constant.

        Args:
            weights: (..., runs).
        """
        n = max(self.n, 1)
        return concordance(
            self.mean[-1],
            weights @ self.mean[:-1],
            self.product[-1, -1] / n,
            np.maximum(np.sum(weights @ self.product[:-1, :-1] * weights, axis=-1), 0.0) / n,
            weights @ self.product[:-1, -1] / n,
        )

    def weighted(self, weights: np.ndarray) -> Moments:
        """Statistics of labels and of the weighted mean of the runs; weights are (runs,)."""
        runs = self.product[:-1, :-1]
        mean_pred, square_pred = weights @ self.mean[:-1], weights @ runs @ weights
        product, square_true = weights @ self.product[:-1, -1], self.product[-1, -1]
        error = square_pred + square_true - 2 * product + self.n * (mean_pred - self.mean[-1]) ** 2
        return Moments(
            n=self.n,
            mean_true=float(self.mean[-1]),
            mean_pred=float(mean_pred),
            square_true=float(square_true),
            square_pred=float(max(square_pred, 0.0)),
            product=float(product),
            squared_error=float(max(error, 0.0)),
        )

    def error_correlation(self) -> np.ndarray:
        """Pearson correlation of the runs' errors, prediction less label, (runs, runs).

        0 with a run whose error is constant, as CCC and PCC are.
        """
        true = self.product[:-1, -1]
        label = self.product[-1, -1]
        product = self.product[:-1, :-1] - true - true[:, None] + label
        square = product.diagonal()
        varies = square > EXACT * (self.product.diagonal()[:-1] + label)
        scale = np.sqrt(np.where(varies, square, np.inf))
        return product / scale / scale[:, None]
