"""Videos whose labels and predictions depend on one another over time, with a CCC that is known."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter

from abawfw.evaluation.functional import Moments

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


class Drawn(NamedTuple):
    """Videos one after the other in one array: drawn and measured at once, which is many times faster."""

    label: np.ndarray  # (frames,)
    pred: np.ndarray  # (frames,)
    lengths: np.ndarray  # (videos,)

    def videos(self) -> list[Video]:
        """Labels and predictions of each."""
        ends = np.cumsum(self.lengths)[:-1]
        return list(zip(np.split(self.label, ends), np.split(self.pred, ends), strict=True))

    def moments(self) -> list[Moments]:
        """Statistics of each."""
        starts, n = np.cumsum(self.lengths) - self.lengths, self.lengths

        def sums(values: np.ndarray) -> np.ndarray:
            return np.add.reduceat(values, starts)

        mean_true, mean_pred = sums(self.label) / n, sums(self.pred) / n
        true, pred = self.label - np.repeat(mean_true, n), self.pred - np.repeat(mean_pred, n)
        squares = [sums(x * y) for x, y in ((true, true), (pred, pred), (pred, true))]
        errors = sums((self.pred - self.label) ** 2)
        columns = [column.tolist() for column in (n, mean_true, mean_pred, *squares, errors)]
        return [Moments(*row) for row in zip(*columns, strict=True)]


def slow_together(steps: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """What ``slow`` makes of numbers that it has drawn, of many sequences one after the other."""
    kept = np.exp(-1 / MEMORY)
    starts = np.cumsum(lengths) - lengths
    steps = steps * np.sqrt(1 - kept**2)
    steps[starts] /= np.sqrt(1 - kept**2)
    found = lfilter([1.0], [1.0, -kept], steps)
    before = np.where(starts > 0, found[starts - 1], 0.0)  # each has it from the one before, and forgets it
    powers = kept ** np.arange(1, lengths.max() + 1)
    place = np.arange(len(steps)) - np.repeat(starts, lengths)
    return found - powers[place] * np.repeat(before, lengths)


def parts_together(rng: np.random.Generator, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By frame, what is constant within a sequence and what varies; drawn as ``labels`` draws one of them."""
    numbers = rng.standard_normal(int(lengths.sum()) + len(lengths))
    constant = np.cumsum(lengths + 1) - lengths - 1
    varying = slow_together(np.delete(numbers, constant), lengths)
    return np.repeat(numbers[constant], lengths), varying


def labels_together(rng: np.random.Generator, lengths: np.ndarray) -> np.ndarray:
    """``labels`` of one video after the other."""
    constant, varying = parts_together(rng, lengths)
    return BETWEEN * constant + WITHIN * varying


def predicted_together(rng: np.random.Generator, label: np.ndarray, lengths: np.ndarray) -> Drawn:
    """``predicted`` of one video after the other."""
    constant, varying = parts_together(rng, lengths)
    return Drawn(label, SLOPE * label + BIAS + OWN_BIAS * constant + OWN_NOISE * varying, lengths)


def draw_together(rng: np.random.Generator, videos: int) -> Drawn:
    """``draw``."""
    counts = np.array(lengths(rng, videos))
    return predicted_together(rng, labels_together(rng, counts), counts)


def draw(rng: np.random.Generator, videos: int) -> list[Video]:
    """Videos of the known CCC: labels of all, then predictions of all."""
    return draw_together(rng, videos).videos()


def draw_in_turn(rng: np.random.Generator, counts: list[int]) -> Drawn:
    """Videos of these lengths: labels and predictions of one after the other."""
    of_both = np.repeat(counts, 2)
    constant, varying = parts_together(rng, of_both)
    is_label = np.repeat(np.arange(len(of_both)) % 2 == 0, of_both)
    label = BETWEEN * constant[is_label] + WITHIN * varying[is_label]
    own = OWN_BIAS * constant[~is_label] + OWN_NOISE * varying[~is_label]
    return Drawn(label, SLOPE * label + BIAS + own, np.array(counts))


def draw_persons(rng: np.random.Generator, persons: int, videos: int) -> Drawn:
    """Videos of the known CCC; what differs between them is the person's, in all of theirs."""
    numbers = rng.standard_normal((persons, 2 + videos * 600))
    mood, bias = (np.repeat(numbers[:, k], videos * 300) for k in (0, 1))
    varying = slow_together(numbers[:, 2:].ravel(), np.full(2 * persons * videos, 300)).reshape(-1, 2, 300)
    label = BETWEEN * mood + WITHIN * varying[:, 0].ravel()
    pred = SLOPE * label + BIAS + OWN_BIAS * bias + OWN_NOISE * varying[:, 1].ravel()
    return Drawn(label, pred, np.full(persons * videos, 300))


def shares(text: str) -> list[float]:
    """Shares that docs/statistics.md gives in a row of a table, by the text of its first cell."""
    page = (Path(__file__).parents[2] / 'docs/statistics.md').read_text()
    (row,) = (line for line in page.splitlines() if line.startswith(f'| {text} |'))
    return [float(x) / 100 for x in re.findall(r'([\d.]+) %', row.removeprefix(f'| {text} |'))]
