"""Folds of equal weight, none of which shares a group of videos with another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from abawfw.components import WholeNumber
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.records import VideoInfo, groups_of
from abawfw.errors import ConfigError, DataError, counted
from abawfw.registry import SPLITS

SMALLEST_GAIN = 1e-9
"""Below this, rounding could make trades go round in circles."""

BINS = 10
"""Bins over [-1, 1], per target, of the histograms that are made alike."""


@SPLITS.register_module()
class BalancedKFold:
    """Folds over train and val together, alike in frames and in labels; each validates once.

    Videos of one group (``VideoInfo.group``, and where that is unknown ``NAME_left`` and ``NAME_right``) stay
    together, so that no person is trained on and validated with. The largest groups are dealt first, each to
    the fold in which it does least harm to the balance of frames and of the histograms of valence and
    arousal; then groups move or trade places as long as that helps. The same data give the same folds. The
    test partition stays as it is.

    ``fit`` comes before ``videos``: the balance needs the labels of the store.

    Args:
        fold: which of the folds validates, 0 to ``folds`` - 1.
        folds: number of folds.

    Raises:
        ConfigError: fewer than 2 folds, or a fold that there is not.
    """

    def __init__(self, fold: WholeNumber, folds: Annotated[int, Ge(2), Le(10**6)] = 6) -> None:
        if folds < 2:
            raise ConfigError(f'BalancedKFold(folds={folds}): there must be at least 2')
        if fold not in range(folds):
            raise ConfigError(
                f'BalancedKFold(fold={fold!r}, folds={folds}): there are folds 0 to {folds - 1}'
            )
        self.fold = fold
        self.folds = folds
        self._fold_of: dict[str, int] = {}

    def fit(self, store: FeatureStore) -> None:
        """Deal out the training and validation videos of a store; reads all their labels.

        Raises:
            DataError: fewer groups than folds, or labels that cannot be read.
        """
        videos = {v.video_id: v for v in store.videos() if v.partition in ('train', 'val')}
        units = groups_of(videos.values()).units(videos)
        if len(units) < self.folds:
            raise DataError(
                f'{store.root}: {counted(len(units), "group")} of training and validation videos cannot fill '
                f'{self.folds} folds; set folds to at most that (NAME_left and NAME_right are one group)'
            )
        weights = np.array([sum(_weights(store, videos[name]) for name in unit) for unit in units])
        for unit, fold in zip(units, _deal(weights, self.folds), strict=True):
            self._fold_of.update(dict.fromkeys(unit, int(fold)))

    def videos(self, videos: Sequence[VideoInfo], partition: str) -> list[VideoInfo]:
        """The videos of ``partition`` in this fold, in the order in which they come.

        Raises:
            ConfigError: ``fit`` was not called.
        """
        if partition not in ('train', 'val'):
            return [video for video in videos if video.partition == partition]
        if not self._fold_of:
            raise ConfigError('BalancedKFold balances labels: call its fit(store) before asking for videos')
        return [
            video
            for video in videos
            if video.video_id in self._fold_of
            and (self._fold_of[video.video_id] == self.fold) == (partition == 'val')
        ]


def _weights(store: FeatureStore, video: VideoInfo) -> np.ndarray:
    """Frames, and frames in each bin of each target, (1 + 2 BINS,)."""
    labels = store.labels(video.video_id, 0, video.num_frames)
    labels = labels[~np.isnan(labels).any(axis=1)]
    counts = [np.histogram(column, bins=BINS, range=(-1, 1))[0] for column in labels.T]
    return np.concatenate([[video.num_frames], *counts]).astype(np.float64)


def _deal(weights: np.ndarray, folds: int) -> np.ndarray:
    """Fold of every group, (groups,), such that the sums of weights (groups, columns) are alike."""
    # Squares of these are the terms of a chi-square: rare bins weigh more than their frames, but less than
    # full ones, since no dealing could make them alike.
    totals = weights.sum(axis=0)
    weights = weights / np.sqrt(np.where(totals == 0, 1, totals) * totals[0])
    fold_of = np.full(len(weights), -1)
    sums = np.zeros((folds, weights.shape[1]))
    for group in np.argsort(-weights[:, 0], kind='stable'):
        # Sums of squares are least when all folds are alike: take the one that lets them grow least.
        fold_of[group] = int((sums @ weights[group]).argmin())
        sums[fold_of[group]] += weights[group]
    while _improve(weights, fold_of, sums):
        pass
    return fold_of


def _improve(weights: np.ndarray, fold_of: np.ndarray, sums: np.ndarray) -> bool:
    """Once for every group, make the best move or trade that lowers the sum of squares; True if any did."""
    improved = False
    for group, here in enumerate(fold_of):
        # A move is a trade for nothing; the first rows stand for the folds to move to.
        given = np.concatenate([np.zeros_like(sums), weights])
        there = np.concatenate([np.arange(len(sums)), fold_of])
        difference = weights[group] - given
        growth = 2 * ((sums[there] - sums[here]) * difference + difference**2).sum(axis=1)
        growth[there == here] = 0
        if np.count_nonzero(fold_of == here) == 1:
            growth[: len(sums)] = 0  # a fold that would be left empty
        best = int(growth.argmin())
        if growth[best] < -SMALLEST_GAIN:
            sums[here] -= difference[best]
            sums[there[best]] += difference[best]
            if best >= len(sums):
                fold_of[best - len(sums)] = here
            fold_of[group] = there[best]
            improved = True
    return improved
