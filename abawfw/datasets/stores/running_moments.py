"""Mean and variance of data that come in pieces."""

from __future__ import annotations

import numpy as np


class RunningMoments:
    """Count, mean and sum of squared differences from the mean, element by element, updated piece by piece.

    Of one array alone: labels against predictions, with products between them, are `Moments`.

    Pieces are combined by the pairwise formula of Chan, Golub and LeVeque (1983), which stays accurate where
    the textbook difference of sums of squares loses all digits. Everything is float64.
    """

    def __init__(self, dims: tuple[int, ...]) -> None:
        self.count = 0
        self.mean = np.zeros(dims)
        self.m2 = np.zeros(dims)

    def add(self, values: np.ndarray) -> None:
        """Add frames, (frames, *dims)."""
        if not len(values):
            return
        values = values.astype(np.float64)
        mean = values.mean(axis=0)
        values -= mean
        np.square(values, out=values)
        self.merge(len(values), mean, values.sum(axis=0))

    def merge(self, count: int, mean: np.ndarray, m2: np.ndarray) -> None:
        """Add what another summary holds: its count, mean (*dims) and sum of squares about it (*dims)."""
        if not count:
            return
        total = self.count + count
        delta = mean - self.mean
        self.m2 += m2 + np.square(delta) * (self.count * count / total)
        self.mean += delta * (count / total)
        self.count = total

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and population standard deviation, (*dims) each; one of 0 becomes 1."""
        std = np.sqrt(self.m2 / max(self.count, 1))
        return self.mean.copy(), np.where(std == 0, 1.0, std)

    def scalar_result(self) -> tuple[float, float]:
        """Mean and population standard deviation over all elements alike; one of 0 becomes 1."""
        mean = float(self.mean.mean())
        # Every element was seen equally often: the variances within and between them add up.
        variance = float((self.m2 / max(self.count, 1)).mean() + np.square(self.mean - mean).mean())
        return mean, variance**0.5 or 1.0
