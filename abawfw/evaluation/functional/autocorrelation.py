"""How much labels still resemble themselves some frames later."""

from __future__ import annotations

from typing import Any

import numpy as np

from abawfw.errors import DataError
from abawfw.evaluation.functional.curves import stretches


class Autocorrelation:
    """Autocorrelation pooled over videos, at every lag, from one pass over the videos.

    At lag k it is the mean of ``(x[t] - m) (x[t + k] - m)`` over all pairs of frames k apart, of all videos,
    divided by the variance, where m and variance are those of all labelled frames of all videos together. A
    pair counts only within a stretch of labelled frames: never across a gap, never from one video to another.
    What differs between videos therefore does not fade with the lag.
    """

    def __init__(self) -> None:
        # By lag: pairs, and sums over them of products, of earlier and of later values.
        self._sums = np.zeros((4, 0))
        # All values are taken about the first one, which changes no result: sums stay small, and those of
        # constant labels are 0.
        self._origin: float | None = None

    def add(self, labels: Any) -> None:
        """Add a video.

        Args:
            labels: (frames,), NaN where there is none.

        Raises:
            DataError: labels of another shape, or infinite.
        """
        labels = np.asarray(labels, dtype=np.float64)
        if labels.ndim != 1 or np.isinf(labels).any():
            raise DataError(f'labels of shape {labels.shape}: they must be (frames,), and finite or NaN')
        for start, stop in stretches(~np.isnan(labels)):
            if self._origin is None:
                self._origin = float(labels[start])
            x = labels[start:stop] - self._origin
            n = len(x)
            if n > self._sums.shape[1]:
                self._sums = np.pad(self._sums, ((0, 0), (0, n - self._sums.shape[1])))
            until = np.cumsum(x)  # until[i]: sum of the first i + 1 values
            spectrum = np.fft.rfft(x, 1 << (2 * n - 1).bit_length())  # long enough not to wrap around
            self._sums[0, :n] += np.arange(n, 0, -1)
            self._sums[1, :n] += np.fft.irfft(np.abs(spectrum) ** 2)[:n]
            self._sums[2, :n] += until[::-1]
            self._sums[3, :n] += until[-1] - np.concatenate([[0.0], until[:-1]])

    def values(self) -> np.ndarray:
        """Autocorrelation at lags 0, 1, ..., (longest labelled stretch,) float64.

        NaN where the labels are constant.
        """
        pairs, products, earlier, later = self._sums
        if not len(pairs):
            return np.zeros(0)
        mean = earlier[0] / pairs[0]
        covariance = products / pairs - mean * (earlier + later) / pairs + mean**2
        return np.asarray(covariance / (covariance[0] if covariance[0] > 0 else np.nan))

    def effective_frames(self, frames: Any) -> np.ndarray:
        """As how many independent frames a video counts when a mean over videos is taken.

        For n labelled frames n / (1 + 2 sum over k of (1 - k / n) r(k)), where r is the autocorrelation and
        the sum goes over k = 1, 2, ... up to n - 1, or to the last lag before r is first 0 or less: beyond it
        there is noise.

        Args:
            frames: labelled frames of each video, (videos,).

        Returns:
            (videos,) float64; NaN where the labels are constant.

        Source: Bayley and Hammersley, The effective number of independent observations in an autocorrelated
        time series, Supplement to the Journal of the Royal Statistical Society 8 (1946).
        """
        n = np.asarray(frames, dtype=np.int64)
        r = self.values()
        if not len(r) or np.isnan(r[0]):
            return np.full(len(n), np.nan)
        known = len(r) if (r > 0).all() else int((r <= 0).argmax())
        k = np.arange(known)
        plain, weighted = np.cumsum(r[:known]), np.cumsum(k * r[:known])
        last = np.clip(n, 1, known) - 1
        return np.asarray(n / (1 + 2 * (plain[last] - 1 - weighted[last] / np.maximum(n, 1))))
