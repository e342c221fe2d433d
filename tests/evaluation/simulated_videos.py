"""Videos whose labels and predictions depend on one another over time, with a CCC that is known."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

BETWEEN, WITHIN = 0.3, 0.4  # standard deviations of labels between videos and within one
SLOPE, BIAS = 0.8, 0.05
OWN_BIAS, OWN_NOISE = 0.125, 0.2  # of predictions: constant within a video, and varying
MEMORY = 40  # frames, as slow as labels of Aff-Wild2 within a video

Video = tuple[np.ndarray, np.ndarray]  # labels and predictions, (frames,) each


def known_ccc() -> float:
    """CCC of all frames of all videos that could be drawn; lengths do not depend on values."""
    var_true = BETWEEN**2 + WITHIN**2
    var_pred = SLOPE**2 * var_true + OWN_BIAS**2 + OWN_NOISE**2
    return 2 * SLOPE * var_true / (var_true + var_pred + BIAS**2)


def slow(rng: np.random.Generator, frames: int) -> np.ndarray:
    """A stationary sequence of standard deviation 1 that forgets within ``MEMORY`` frames."""
    kept = np.exp(-1 / MEMORY)
    steps = rng.standard_normal(frames) * np.sqrt(1 - kept**2)
    steps[0] /= np.sqrt(1 - kept**2)
    return lfilter([1.0], [1.0, -kept], steps)


def lengths(rng: np.random.Generator, videos: int) -> list[int]:
    """As uneven as those of Aff-Wild2, and shorter."""
    return np.clip(300 * np.exp(0.75 * rng.standard_normal(videos)), 20, 6000).astype(int).tolist()


def labels(rng: np.random.Generator, frames: int) -> np.ndarray:
    return BETWEEN * rng.standard_normal() + WITHIN * slow(rng, frames)


def predicted(rng: np.random.Generator, label: np.ndarray, noise: float = OWN_NOISE) -> np.ndarray:
    """Of the known CCC with the default noise; every call makes its own errors."""
    own = OWN_BIAS * rng.standard_normal() + noise * slow(rng, len(label))
    return SLOPE * label + BIAS + own


def draw(rng: np.random.Generator, videos: int) -> list[Video]:
    found = [labels(rng, frames) for frames in lengths(rng, videos)]
    return [(label, predicted(rng, label)) for label in found]


def draw_persons(rng: np.random.Generator, persons: int, videos: int) -> list[list[Video]]:
    """Videos of the known CCC; what differs between videos is the person's, in all of theirs."""
    found = []
    for _ in range(persons):
        mood, bias = BETWEEN * rng.standard_normal(), OWN_BIAS * rng.standard_normal()
        own = []
        for _ in range(videos):
            label = mood + WITHIN * slow(rng, 300)
            own.append((label, SLOPE * label + BIAS + bias + OWN_NOISE * slow(rng, 300)))
        found.append(own)
    return found
