"""Whether a mean and a standard deviation that stand in a file are those of the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from abawfw.datasets.stores.base import FeatureStore, RunningMoments
from abawfw.datasets.stores.checks import not_finite
from abawfw.errors import DataError

SAMPLE = 256
"""Frames of a sample; its mean is within about 0.1 standard deviations of that of all frames."""
CLOSE = 8
"""Frames of a video per frame of its sample, up to which all are read at once: that is faster."""
FAR = 0.5
"""Other data: means differ by this many standard deviations, or standard deviations by this fraction."""
NEAR = 0.1
"""The same for what is worth a look: statistics of observed frames alone, or of some videos less."""

REMOVE = 'remove this file, and the statistics are computed from the data'

Stated = tuple[np.ndarray, np.ndarray] | tuple[float, float]
"""Mean and standard deviation (0 counts as 1), (*dims) each, or one number each for all dimensions."""


def refuse_stale(
    store: FeatureStore,
    feature: str,
    video_ids: Sequence[str],
    stated: Stated,
    path: Path,
    way_out: str = REMOVE,
    observed: bool = False,
) -> None:
    """Refuse statistics of other data than these videos have.

    A sample of frames, evenly spread over all, is looked at; where it contradicts, all of them decide.

    Args:
        store: where the videos are.
        feature: name of the feature.
        video_ids: what the statistics are of.
        stated: the statistics.
        path: file that they stand in.
        way_out: what to do about them.
        observed: whether they are of the frames alone in which the feature was observed.

    Raises:
        DataError: they are those of other data.
    """
    if contradicts(stated, _sample(store, feature, video_ids, observed)):
        found = FeatureStore.summary(store, feature, video_ids, observed)
        if contradicts(stated, found):
            raise DataError(f'{path}: feature {feature!r}: {describe_difference(stated, found)}; {way_out}')


def contradicts(stated: Stated, found: RunningMoments) -> bool:
    """Whether half of the dimensions are far from what the data, or a sample of them, have; or any is NaN."""
    shift, ratio = _differences(stated, found)
    return not (np.median(shift) <= FAR and np.median(ratio) <= 1 + FAR)


def count_differing(stated: Stated, found: RunningMoments) -> int:
    """How many dimensions are not near to what the data have."""
    shift, ratio = _differences(stated, found)
    return int(np.count_nonzero(~((shift <= NEAR) & (ratio <= 1 + NEAR))))


def describe_difference(stated: Stated, found: RunningMoments) -> str:
    """The dimension that differs most, in words."""
    shift, ratio = _differences(stated, found)
    worst = int(np.maximum(shift, ratio - 1).argmax())
    mean, std = (np.ravel(values)[worst] for values in stated)
    true_mean, true_std = (np.ravel(values)[worst] for values in _as_stated(stated, found))
    index = ', '.join(str(int(n)) for n in np.unravel_index(worst, np.shape(stated[0])))
    of = f' of number {index}' if index else ''
    return (
        f'mean {mean:.4g} and std {std:.4g}{of} are not those of the frames of train, {true_mean:.4g} and '
        f'{true_std:.4g}: was the feature written anew?'
    )


def _sample(store: FeatureStore, feature: str, video_ids: Sequence[str], observed: bool) -> RunningMoments:
    lengths = [store.video(video_id).num_frames for video_id in video_ids]
    ends = np.cumsum(lengths)
    positions = np.linspace(0, ends[-1] - 1, min(SAMPLE, int(ends[-1]))).astype(int)
    of_video = np.searchsorted(ends, positions, side='right')
    sample = RunningMoments(store.feature(feature).dims)
    for k in np.unique(of_video):
        frames = positions[of_video == k] - int(ends[k] - lengths[k])
        start, stop = int(frames[0]), int(frames[-1]) + 1
        if stop - start <= CLOSE * len(frames):
            values = store.read(video_ids[k], feature, start, stop)[frames - start]
        else:
            each = [store.read(video_ids[k], feature, int(frame), int(frame) + 1) for frame in frames]
            values = np.concatenate(each)
        taken = ~not_finite(values)
        if observed:
            taken &= store.observed(video_ids[k], feature, start, stop)[frames - start]
        sample.add(values[taken])
    return sample


def _as_stated(stated: Stated, found: RunningMoments) -> Stated:
    return found.result() if np.ndim(stated[0]) else found.scalar_result()


def _differences(stated: Stated, found: RunningMoments) -> tuple[np.ndarray, np.ndarray]:
    """Difference of the means in standard deviations, and the larger of these over the smaller one."""
    true_mean, true_std = _as_stated(stated, found)
    std = np.where(np.equal(stated[1], 0), 1.0, stated[1])
    larger, smaller = np.maximum(std, true_std), np.minimum(std, true_std)
    # the standard deviation of a constant is 1 by convention, whatever rounding has made of it elsewhere
    constant = found.m2 == 0 if np.ndim(std) else np.False_
    with np.errstate(all='ignore'):  # what is stated may be NaN or infinite
        ratio = larger / np.maximum(smaller, np.finfo(np.float64).tiny)
        shift = np.abs(np.subtract(stated[0], true_mean)) / larger
    return shift, np.where(constant | (smaller <= 0), 1.0, ratio)
