"""What is drawn for every demo data set: its videos, and how their features show emotion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtri

RATES, RATE_PROBABILITIES = (30.0, 30000 / 1001, 25.0, 24.0, 15.0), (0.42, 0.25, 0.2, 0.08, 0.05)
# Missing faces: .94 observed on average, most of what is missing in 30 % of the videos;
# gaps of 2 frames in the median, 88 at the 99th percentile: what is drawn here is rounded up, and gaps meet.
HARD_FRACTION, MISSING_HARD, MISSING_EASY = 0.3, 0.17, 0.012
GAP_MEDIAN, GAP_SPREAD = 1.6, 1.72
# Runs without a label: in one video of a hundred, 116 to 1530 frames.
UNLABELLED_FRACTION, UNLABELLED_FRAMES = 0.01, (116, 1530)


def draw_lengths(
    rng: np.random.Generator, partition: str, count: int, scale: float, shortest: int
) -> NDArray[np.int64]:
    """Quantiles of the lengths of Aff-Wild2, so that a small set has short and long videos too."""
    quantiles = (np.arange(count) + 0.5) / max(count, 1)
    lengths = lengths_at(quantiles, partition)
    return rng.permutation(np.maximum(np.round(lengths * scale), shortest).astype(np.int64))


def choose_runs(partition: str, counts: dict[str, int], lengths: NDArray[np.int64]) -> list[int]:
    """Videos of train that get a run without labels: 1 % of all labelled ones, at least one, rather long."""
    if partition != 'train':
        return []
    wanted = max(1, round(UNLABELLED_FRACTION * (counts['train'] + counts['val'])))
    longest = np.argsort(-lengths, kind='stable')
    return sorted(int(i) for i in longest[len(longest) // 4 :][:wanted])


def draw_run(rng: np.random.Generator, num_frames: int) -> slice:
    """A run without labels, at most a third of the video."""
    low, high = np.log(UNLABELLED_FRAMES)
    length = min(int(np.exp(rng.uniform(low, high))), num_frames // 3)
    start = int(rng.integers(0, num_frames - length + 1))
    return slice(start, start + length)


def draw_faces(rng: np.random.Generator, num_frames: int, missing: float) -> NDArray[np.bool_]:
    """Where a face was found, (frames,) bool: gaps until the missing fraction is reached."""
    observed = np.ones(num_frames, bool)
    wanted = int(missing * num_frames * rng.uniform(0.5, 1.5))
    while (left := wanted - int(np.count_nonzero(~observed))) > 0:
        gap = int(np.ceil(GAP_MEDIAN * np.exp(GAP_SPREAD * rng.standard_normal())))
        start = int(rng.integers(0, num_frames))
        observed[start : start + min(gap, left)] = False
    return observed


def draw_hard(rng: np.random.Generator, count: int) -> NDArray[np.bool_]:
    """Videos, (count,) bool, in which most of the missing faces are."""
    return np.asarray(rng.permutation(count) < round(HARD_FRACTION * count))


MEAN = np.array([0.07, 0.345])
"""Of valence and arousal before squashing with tanh; with SPREAD gives .07/.40 and .30/.30 after it."""
SPREAD = np.array([0.48, 0.372])
BETWEEN = np.array([0.45, 0.32])
"""Fraction of the variance that is the video's offset; with the slow emotion: .50 and .37."""
CORRELATION = 0.25
"""Between the targets, of videos and of frames. The specification gives no value: weak, as emotions are."""

# Two time scales and the inertia of the annotator's hand, in frames: fitted to the autocorrelation
# .998 / .948 / .819 / .565 / .323 at lags 1 / 10 / 30 / 100 / 300.
TIME_SCALES = (45.0, 800.0)
FAST_FRACTION = 0.36
INERTIA = 8.5
# The hand rests for two thirds of the frames.
MEAN_HOLD, MEAN_MOVE = 13.0, 7.0


def draw_state(rng: np.random.Generator, offset: NDArray, num_frames: int) -> NDArray[np.float64]:
    """What the annotator's hand shows, before squashing: (frames, 2) valence and arousal.

    Args:
        rng: Source of everything random.
        offset: (2,) standard normal offsets of the video, correlated.
        num_frames: Length of the video.
    """
    within = correlate(np.stack([_emotion(rng, num_frames) for _ in range(2)], axis=1))
    times = np.arange(num_frames)
    for target in range(2):
        within[:, target] = np.interp(_annotation_clock(rng, num_frames), times, within[:, target])
    return MEAN + SPREAD * (np.sqrt(BETWEEN) * offset + np.sqrt(1 - BETWEEN) * within)


def to_labels(state: NDArray[np.float64]) -> NDArray[np.float32]:
    """Labels (frames, 2) in [-1, 1] with three decimals."""
    return np.round(np.tanh(state), 3).astype(np.float32)


def draw_offsets(rng: np.random.Generator, num_videos: int) -> NDArray[np.float64]:
    """Offsets (videos, 2): normal quantiles, so that a small set has the spread of a large one."""
    quantiles = ndtri((np.arange(num_videos) + 0.5) / num_videos)
    quantiles /= max(quantiles.std(), 1e-9)
    first = rng.permutation(quantiles)
    # of some permutations the one that is least correlated with the first by chance
    second = min((rng.permutation(quantiles) for _ in range(50)), key=lambda values: abs(values @ first))
    return correlate(np.stack([first, second], axis=1))


def correlate(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make the second of two independent columns follow the first a little; variances stay."""
    second = CORRELATION * columns[:, 0] + np.sqrt(1 - CORRELATION**2) * columns[:, 1]
    return np.stack([columns[:, 0], second], axis=1)


def slow_noise(rng: np.random.Generator, num_frames: int, time_scale: float, inertia: float = 0.0) -> NDArray:
    """Stationary noise (frames,) of variance 1 that forgets in ``time_scale`` frames, with inertia."""
    poles = [np.exp(-1 / time_scale)] + ([np.exp(-1 / inertia)] if inertia else [])
    denominator = np.poly(poles)
    warm_up = int(6 * time_scale)
    response = lfilter([1.0], denominator, np.eye(1, 2 * warm_up + 100)[0])
    drawn = lfilter([1.0], denominator, rng.standard_normal(warm_up + num_frames))
    return drawn[warm_up:] / np.sqrt((response**2).sum())


def _emotion(rng: np.random.Generator, num_frames: int) -> NDArray[np.float64]:
    """One target within a video: mean 0, variance 1, two time scales."""
    fast, slow = (slow_noise(rng, num_frames, scale, INERTIA) for scale in TIME_SCALES)
    return np.sqrt(FAST_FRACTION) * fast + np.sqrt(1 - FAST_FRACTION) * slow


def _annotation_clock(rng: np.random.Generator, num_frames: int) -> NDArray[np.float64]:
    """The moment (frames,) that the hand shows at each frame: it rests, then catches up, again and again."""
    cycles = int(2 * num_frames / (MEAN_HOLD + MEAN_MOVE)) + 8
    holds = 1 + rng.geometric(1 / MEAN_HOLD, cycles)
    moves = rng.geometric(1 / MEAN_MOVE, cycles)
    ends = np.cumsum(holds + moves)
    starts = ends - holds - moves
    frames = np.stack([starts, starts + holds], axis=1).ravel()
    shown = np.stack([starts, starts], axis=1).ravel()
    return np.interp(np.arange(num_frames) - rng.integers(0, 20) + 20, frames, shown) - 20


class Sense(NamedTuple):
    """How a feature sees the emotion.

    Args:
        dim: Values per frame.
        delay: Frames by which it lags: speech shows it later than the face.
        blur: Standard deviation of what disturbs its view of the emotion for about half a second, against 1.
        bias: Standard deviation of what disturbs it for the whole video.
        noise: Standard deviation of the white noise of every value.
        rectified: Whether values are cut at 0, as after the last layer of a network.
        is_face: Whether it is missing where the face is.
    """

    dim: int
    delay: int
    blur: float
    bias: float
    noise: float
    rectified: bool
    is_face: bool


SENSES = {
    'affectnet': Sense(48, 0, 0.8, 0.25, 0.5, rectified=True, is_face=True),
    'vggish': Sense(24, 12, 1.1, 0.35, 0.6, rectified=False, is_face=False),
    'egemaps': Sense(23, 9, 1.3, 0.35, 0.8, rectified=False, is_face=False),
}
NUISANCES = 4
BLUR_FRAMES = 15.0


class Mixer:
    """Fixed random networks, one per feature, from emotion and nuisances to values per frame.

    Args:
        seed: Of the networks: the same for all videos, so that what is learnt on one holds for others.
        senses: The features to make, by name.
    """

    def __init__(self, seed: int, senses: Mapping[str, Sense] = SENSES) -> None:
        self.senses = senses
        rng = np.random.default_rng([seed, len(senses)])
        self._weights = {
            name: (
                rng.standard_normal((2 + NUISANCES, sense.dim)) * 0.6,
                rng.standard_normal(sense.dim) * 0.5,
            )
            for name, sense in senses.items()
        }

    def features(
        self, rng: np.random.Generator, emotion: NDArray[np.float64], observed: NDArray[np.bool_]
    ) -> dict[str, NDArray[np.float32]]:
        """Values (frames, dim) of every feature.

        Args:
            rng: Source of disturbances and noise of this video.
            emotion: (frames, 2) of mean 0 and standard deviation 1 over all videos.
            observed: (frames,) whether there is a face.
        """
        num_frames = len(emotion)
        person = rng.standard_normal(NUISANCES // 2)  # who it is, and how they are recorded
        scene = np.stack([slow_noise(rng, num_frames, 200.0) for _ in range(NUISANCES - len(person))], axis=1)
        nuisances = np.concatenate([np.broadcast_to(person, (num_frames, len(person))), scene], axis=1)
        features = {}
        for name, sense in self.senses.items():
            seen = emotion[np.maximum(np.arange(num_frames) - sense.delay, 0)]
            blur = np.stack([slow_noise(rng, num_frames, BLUR_FRAMES) for _ in range(2)], axis=1)
            seen = seen + sense.blur * blur + sense.bias * rng.standard_normal(2)
            weights, offset = self._weights[name]
            values = np.tanh(0.5 * (np.concatenate([seen, nuisances], axis=1) @ weights + offset)) * 2
            values += sense.noise * rng.standard_normal(values.shape)
            if sense.rectified:
                values = np.maximum(values, 0)
            if sense.is_face:
                values[~observed] = 0
            features[name] = values.astype(np.float32)
        return features


def valid_masks(observed: NDArray[np.bool_]) -> Mapping[str, NDArray[np.bool_]]:
    """Masks (frames,) of the features that need a face."""
    return {name: observed for name, sense in SENSES.items() if sense.is_face}


LENGTH_QUANTILES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
# Frames per video at these quantiles, videos, and frames of all videos: docs/challenge.md.
LENGTHS = {
    'train': (263, 1220, 2640, 3899, 5405, 10529, 47435),
    'val': (73, 296, 1810, 4089, 8093, 11370, 18189),
    'test': (128, 786, 2682, 4230, 7759, 16357, 26618),
}
TOTALS = {'train': (356, 1_682_057), 'val': (76, 383_814), 'test': (162, 927_210)}


def lengths_at(quantiles: np.ndarray, partition: str) -> np.ndarray:
    """Frames of a video at these quantiles, between the known ones on a logarithmic scale; float64."""
    return np.exp(np.interp(quantiles, LENGTH_QUANTILES, np.log(LENGTHS[partition])))


def affwild2_lengths(partition: str, seed: int) -> list[int]:
    """Frames of as many videos as the partition has, drawn at random and scaled to its number of frames."""
    videos, frames = TOTALS[partition]
    drawn = lengths_at(np.random.default_rng(seed).random(videos), partition)
    return np.maximum(1, drawn * frames / drawn.sum()).round().astype(int).tolist()


class DemoSummary(NamedTuple):
    """Videos and frames per partition, and the videos that are special."""

    videos: dict[str, int]
    frames: dict[str, int]
    unlabelled_runs: tuple[str, ...]
    constant: str


class DrawnVideo(NamedTuple):
    """A video of a demo data set, but for its features and its frame rate, which are drawn with ``rng``.

    Attributes:
        emotion: (frames, 2) of mean 0 and standard deviation 1 over all videos.
        observed: (frames,) whether there is a face.
        labels: (frames, 2), NaN in the run without; None in test.
    """

    rng: np.random.Generator
    name: str
    partition: str
    emotion: NDArray[np.float64]
    observed: NDArray[np.bool_]
    labels: NDArray[np.float32] | None


# Valence of val is .10 above that of train; before squashing that is .12.
VAL_SHIFT = np.array([0.12, 0.0])
MOST_MISSING = 0.6


@dataclass
class DemoVideos:
    """The videos of a demo data set, partition by partition, drawn one by one as they are asked for.

    Args:
        seed: the same seed gives the same videos.
        names: of the videos of each partition; NAME_right, which comes last, is as long as the one before.
        scale: length of the videos, relative to Aff-Wild2.
        shortest: least frames of a video.
        missing: how many more faces are missing than in Aff-Wild2.

    Attributes:
        summary: once all have been drawn.
    """

    seed: int
    names: Mapping[str, Sequence[str]]
    scale: float
    shortest: int
    missing: float = 1.0

    def __iter__(self) -> Iterator[DrawnVideo]:
        counts = {partition: len(names) for partition, names in self.names.items()}
        frames, without, constant = dict.fromkeys(counts, 0), tuple[str, ...](), ''
        for number, (partition, names) in enumerate(self.names.items()):
            if not names:
                continue
            rng = np.random.default_rng([self.seed, number])
            lengths = draw_lengths(rng, partition, len(names), self.scale, self.shortest)
            if names[-1].endswith('_right'):
                lengths[-1] = lengths[-2]
            frames[partition] = int(lengths.sum())
            offsets, hard = draw_offsets(rng, len(names)), draw_hard(rng, len(names))
            runs = choose_runs(partition, counts, lengths)
            without += tuple(names[i] for i in runs)
            for i, name in enumerate(names):
                rng = np.random.default_rng([self.seed, number, i])
                state = draw_state(rng, offsets[i], lengths[i]) + (VAL_SHIFT if partition == 'val' else 0)
                if partition == 'val' and i == lengths.argmin():
                    state[:] = state[0]
                    constant = name
                missing = self.missing * (MISSING_HARD if hard[i] else MISSING_EASY)
                observed = draw_faces(rng, lengths[i], min(missing, MOST_MISSING))
                labels = to_labels(state)
                if i in runs:
                    labels[draw_run(rng, lengths[i])] = np.nan
                shown, emotion = None if partition == 'test' else labels, (state - MEAN) / SPREAD
                yield DrawnVideo(rng, name, partition, emotion, observed, shown)
        self.summary = DemoSummary(counts, frames, without, constant)
