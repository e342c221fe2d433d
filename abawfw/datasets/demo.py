"""A small data set that behaves like Aff-Wild2, made from nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.affwild2_lengths import LENGTHS, lengths_at
from abawfw.datasets.demo_features import SENSES, Mixer, valid_masks
from abawfw.datasets.demo_labels import MEAN, SPREAD, draw_offsets, draw_state, to_labels
from abawfw.datasets.stores.rucaim3_writer import RUCAIM3Writer
from abawfw.errors import ConfigError

MIN_FRAMES = 50
# Valence of val is .10 above that of train; before squashing that is .12.
VAL_SHIFT = np.array([0.12, 0.0])
RATES, RATE_SHARES = (30.0, 30000 / 1001, 25.0, 24.0, 15.0), (0.42, 0.25, 0.2, 0.08, 0.05)
# Missing faces: .94 observed on average, most of what is missing in 30 % of the videos;
# gaps of 2 frames in the median, 88 at the 99th percentile: what is drawn here is rounded up, and gaps meet.
HARD_SHARE, MISSING_HARD, MISSING_EASY = 0.3, 0.17, 0.012
GAP_MEDIAN, GAP_SPREAD = 1.6, 1.72
# Runs without a label: in one video of a hundred, 116 to 1530 frames.
UNLABELLED_SHARE, UNLABELLED_FRAMES = 0.01, (116, 1530)


class DemoSummary(NamedTuple):
    """Videos and frames per partition, and the videos that are special."""

    videos: dict[str, int]
    frames: dict[str, int]
    unlabelled_runs: tuple[str, ...]
    constant: str


def make_demo_data(
    root: str | os.PathLike[str],
    seed: int = 0,
    videos: Sequence[int] = (16, 6, 4),
    scale: float = 0.25,
) -> DemoSummary:
    """Write a data set in the HDF5 layout of RUCAIM3 with the statistics of ``spec/affwild2.md``.

    Labels are held and moved like an annotator's joystick, with two time scales and differences between
    videos; one val video is constant, 1 % of the videos (at least one of train) have a run of -5, test has no
    labels. Features are fixed random mixtures of the annotated emotion, seen through disturbances, and of
    persons and scenes that mean nothing.

    Args:
        root: Folder to make; must not exist or be empty.
        seed: The same seed gives the same data.
        videos: Number of train, val and test videos: at least 1, 2 and 0.
        scale: Length of the videos, relative to Aff-Wild2. Time scales of the labels stay.

    Raises:
        ConfigError: If a number of videos or the scale is too small.
        DataError: If ``root`` exists and is not an empty folder.
    """
    counts = dict(zip(LENGTHS, videos, strict=True))
    if counts['train'] < 1 or counts['val'] < 2 or counts['test'] < 0 or not scale > 0:
        raise ConfigError(
            f'videos {tuple(videos)}, scale {scale}: there must be at least 1 train, 2 val '
            '(one is constant) and 0 test videos, and a scale above 0'
        )
    mixer = Mixer(seed)
    frames: dict[str, int] = {}
    special: dict[str, tuple[str, ...]] = {}
    with RUCAIM3Writer(root, {name: (sense.dim,) for name, sense in SENSES.items()}) as writer:
        for number, (partition, count) in enumerate(counts.items()):
            frames[partition] = 0
            if not count:
                continue
            rng = np.random.default_rng([seed, number])
            names = [f'{partition}_{i:0{len(str(max(counts.values())))}d}' for i in range(count)]
            lengths = _draw_lengths(rng, partition, count, scale)
            offsets, hard = draw_offsets(rng, count), rng.permutation(count) < round(HARD_SHARE * count)
            runs = _choose_runs(partition, counts, lengths)
            for i, name in enumerate(names):
                rng = np.random.default_rng([seed, number, i])
                state = draw_state(rng, offsets[i], lengths[i]) + (VAL_SHIFT if partition == 'val' else 0)
                if partition == 'val' and i == lengths.argmin():
                    state[:] = state[0]
                    special['constant'] = (name,)
                observed = _draw_faces(rng, lengths[i], MISSING_HARD if hard[i] else MISSING_EASY)
                labels = to_labels(state)
                if i in runs:
                    labels[_draw_run(rng, lengths[i])] = np.nan
                writer.add(
                    name,
                    partition,
                    features=mixer.features(rng, (state - MEAN) / SPREAD, observed),
                    labels=None if partition == 'test' else labels,
                    valid=valid_masks(observed),
                    fps=float(rng.choice(RATES, p=RATE_SHARES)),
                )
            frames[partition] = int(lengths.sum())
            if runs:
                special['runs'] = tuple(names[i] for i in runs)
    return DemoSummary(counts, frames, special['runs'], special['constant'][0])


def _draw_lengths(rng: np.random.Generator, partition: str, count: int, scale: float) -> NDArray[np.int64]:
    """Quantiles of the lengths of Aff-Wild2, so that a small set has short and long videos too."""
    quantiles = (np.arange(count) + 0.5) / max(count, 1)
    lengths = lengths_at(quantiles, partition)
    return rng.permutation(np.maximum(np.round(lengths * scale), MIN_FRAMES).astype(np.int64))


def _choose_runs(partition: str, counts: dict[str, int], lengths: NDArray[np.int64]) -> list[int]:
    """Videos of train that get a run without labels: 1 % of all labelled ones, at least one, rather long."""
    if partition != 'train':
        return []
    wanted = max(1, round(UNLABELLED_SHARE * (counts['train'] + counts['val'])))
    longest = np.argsort(-lengths, kind='stable')
    return sorted(int(i) for i in longest[len(longest) // 4 :][:wanted])


def _draw_run(rng: np.random.Generator, num_frames: int) -> slice:
    """A run without labels, at most a third of the video."""
    low, high = np.log(UNLABELLED_FRAMES)
    length = min(int(np.exp(rng.uniform(low, high))), num_frames // 3)
    start = int(rng.integers(0, num_frames - length + 1))
    return slice(start, start + length)


def _draw_faces(rng: np.random.Generator, num_frames: int, missing: float) -> NDArray[np.bool_]:
    """Where a face was found, (frames,) bool: gaps until the share that is missing is reached."""
    observed = np.ones(num_frames, bool)
    wanted = int(missing * num_frames * rng.uniform(0.5, 1.5))
    while (left := wanted - int(np.count_nonzero(~observed))) > 0:
        gap = int(np.ceil(GAP_MEDIAN * np.exp(GAP_SPREAD * rng.standard_normal())))
        start = int(rng.integers(0, num_frames))
        observed[start : start + min(gap, left)] = False
    return observed
