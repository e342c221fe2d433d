"""What predictions could reach that know only so much of the labels.

All take the labels of one video, (frames,), NaN where there is none, and give the statistics of the labels
against what is made of them. Those of many videos are pooled (``Moments.pool``), as everywhere else: one CCC
over all frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from abawfw.errors import ConfigError, DataError
from abawfw.evaluation.functional.moments import Moments, moments
from abawfw.evaluation.functional.smoothing import smooth
from abawfw.evaluation.functional.stretches import stretches


def constant_ceiling(labels: Any) -> Moments:
    """Labels against their own mean: a prediction that is right about each video, and still within it.

    With a share b of the variance between videos, the CCC over all of them is 2 b / (1 + b).
    """
    labels = _checked(labels)
    labelled = ~np.isnan(labels)
    return moments(labels, np.full(len(labels), labels[labelled].mean())) if labelled.any() else Moments()


def moving_mean_ceiling(labels: Any, window: int) -> Moments:
    """Labels against their centred moving mean: a prediction that misses whatever is fast.

    Each labelled stretch is smoothed on its own (``smooth``, kernel ``mean``), so that no mean reaches over
    frames without a label; at its ends the frames that exist are averaged.

    Args:
        labels: of one video.
        window: frames on one side, 0 or more.
    """
    labels = _checked(labels)
    smoothed = np.full(len(labels), np.nan)
    for start, stop in stretches(~np.isnan(labels)):
        smoothed[start:stop] = smooth(labels[start:stop], window)
    return moments(labels, smoothed)


def shift_ceiling(labels: Any, shift: int) -> Moments:
    """Labels against those ``shift`` frames away: a prediction that is perfect but late, or early.

    Only frames count that have a label and whose shifted frame exists and has one. CCC is the same in both
    directions, for the same pairs are compared.

    Args:
        labels: of one video.
        shift: frames, 0 or more.

    Raises:
        ConfigError: a shift that is no whole number from 0 on.
    """
    if int(shift) != shift or shift < 0:
        raise ConfigError(f'shift of labels {shift!r}: it must be a whole number of frames, 0 or more')
    labels = _checked(labels)
    later, earlier = labels[int(shift) :], labels[: max(len(labels) - int(shift), 0)]
    both = ~np.isnan(later) & ~np.isnan(earlier)
    return moments(later[both], earlier[both])


def _checked(labels: Any) -> np.ndarray:
    labels = np.asarray(labels, dtype=np.float64)
    if labels.ndim != 1:
        raise DataError(f'labels of shape {labels.shape}: they must be (frames,), one target of one video')
    return labels
