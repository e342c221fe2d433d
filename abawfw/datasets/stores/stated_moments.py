"""Whether a mean and a deviation that stand in a file are those of the data."""

from __future__ import annotations

import numpy as np

from abawfw.datasets.stores.running_moments import RunningMoments

FAR = 0.5
"""Deviations by which means, and share by which deviations, differ where they are of other data."""
NEAR = 0.1
"""The same for what is worth a look: statistics of observed frames alone, or of some videos less."""


def contradicts(mean: np.ndarray, std: np.ndarray, found: RunningMoments) -> bool:
    """Whether half of the dimensions are far from what the data have.

    Args:
        mean: as stated, (*dims).
        std: as stated, (*dims); 0 counts as 1.
        found: moments of the data, or of a sample of them.
    """
    shift, ratio = _differences(mean, std, found)
    return bool(np.median(shift) > FAR or np.median(ratio) > 1 + FAR)


def count_differing(mean: np.ndarray, std: np.ndarray, found: RunningMoments) -> int:
    """How many dimensions are not near to what the data have; arguments as of `contradicts`."""
    shift, ratio = _differences(mean, std, found)
    return int(np.count_nonzero((shift > NEAR) | (ratio > 1 + NEAR)))


def describe_difference(mean: np.ndarray, std: np.ndarray, found: RunningMoments) -> str:
    """The dimension that differs most, in words; arguments as of `contradicts`."""
    shift, ratio = _differences(mean, std, found)
    worst = int(np.maximum(shift, ratio - 1).argmax())
    index = ', '.join(str(int(n)) for n in np.unravel_index(worst, mean.shape)) or '0'
    true_mean, true_std = (values.flat[worst] for values in found.result())
    return (
        f'mean {mean.flat[worst]:.4g} and std {std.flat[worst]:.4g} of number {index} are not those of the '
        f'frames of train, {true_mean:.4g} and {true_std:.4g}: was the feature written anew?'
    )


def _differences(mean: np.ndarray, std: np.ndarray, found: RunningMoments) -> tuple[np.ndarray, np.ndarray]:
    """Difference of the means in deviations, and the larger deviation over the smaller one."""
    true_mean, true_std = found.result()
    stated = np.where(std == 0, 1.0, std)
    larger, smaller = np.maximum(stated, true_std), np.minimum(stated, true_std)
    constant = found.m2 == 0  # its deviation is 1 by convention, whatever rounding has made of it elsewhere
    ratio = np.where(constant, 1.0, larger / np.where(smaller > 0, smaller, 1.0))
    return np.abs(mean - true_mean) / larger, ratio
