"""Runs with the same validation videos, measured on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from abawfw.errors import DataError
from abawfw.evaluation.functional import Moments, moments
from abawfw.evaluation.functional.ccc_centring import ccc_centring
from abawfw.evaluation.prediction_files import Predictions
from abawfw.submission.run_folder import RunFolder
from abawfw.submission.weights import RunMoments


class ValGroup:
    """What some runs have predicted of the validation videos that they have in common.

    Args:
        runs: all runs of the ensemble.
        val: their predictions.
        indices: which of them belong to the group.
        target: for messages.

    Attributes:
        indices: as given.
        videos: statistics of each video.
        pooled: of all videos together.
        run_ccc: of each run alone.

    Raises:
        DataError: there are no labels.
    """

    def __init__(
        self,
        runs: Sequence[RunFolder],
        val: Sequence[Predictions | None],
        indices: list[int],
        target: str,
    ) -> None:
        self.indices = indices
        first = val[indices[0]]
        folder = runs[indices[0]].folder
        if first is None or first.labels is None:
            raise DataError(f'{folder}: the predictions of val have no labels of {target}')
        members = [p for p in (val[i] for i in indices) if p is not None]
        self._labels = first.labels
        self._preds = {video: [run.preds[video] for run in members] for video in first.labels}
        self.videos = [RunMoments.of(label, self._preds[v]) for v, label in self._labels.items()]
        self.pooled = RunMoments.pool(self.videos)
        if not self.pooled.n:
            raise DataError(f'{folder}: no frame of val has a label of {target}')
        self.run_ccc = [self.pooled.ccc(one) for one in np.eye(len(indices))]

    def measure(self, rule: str, weights: np.ndarray | None = None) -> Moments:
        """Statistics of labels and of the mean of the group's runs; equal weights if none are given."""
        weights = np.full(len(self.indices), 1 / len(self.indices)) if weights is None else weights
        if rule != 'centred':
            return self.pooled.weighted(weights)
        parts = (moments(y, mean_of_runs(rule, weights, self._preds[v])) for v, y in self._labels.items())
        return Moments.pool(parts)


def mean_of_runs(rule: str, weights: np.ndarray, preds: Sequence[np.ndarray]) -> np.ndarray:
    """One video's weighted mean over runs, (frames,); for 'centred' the mean of the centred runs."""
    if rule == 'centred':
        return ccc_centring(np.stack(preds)).centred.mean(axis=0)
    return np.sum([weight * pred for weight, pred in zip(weights, preds, strict=True)], axis=0)
