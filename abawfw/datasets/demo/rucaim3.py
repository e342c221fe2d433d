"""A small data set that behaves like Aff-Wild2, made from nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from abawfw.datasets.demo.signals import (
    LENGTHS,
    MEAN,
    MISSING_EASY,
    MISSING_HARD,
    RATE_PROBABILITIES,
    RATES,
    SENSES,
    SPREAD,
    Mixer,
    choose_runs,
    draw_faces,
    draw_hard,
    draw_lengths,
    draw_offsets,
    draw_run,
    draw_state,
    to_labels,
    valid_masks,
)
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer
from abawfw.errors import ConfigError

MIN_FRAMES = 50
# Valence of val is .10 above that of train; before squashing that is .12.
VAL_SHIFT = np.array([0.12, 0.0])


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
    """Write a data set in the HDF5 layout of RUCAIM3 with the statistics of Aff-Wild2 (docs/challenge.md).

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
        ConfigError: If a number of videos or the scale is too small or too large, or the seed is negative.
        DataError: If ``root`` exists and is not an empty folder.

    >>> make_demo_data('data/small', videos=(2, 2, 1), scale=0.02).frames
    {'train': 161, 'val': 212, 'test': 85}
    """
    counts = check_counts(videos, scale, seed)
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
            lengths = draw_lengths(rng, partition, count, scale, MIN_FRAMES)
            offsets, hard = draw_offsets(rng, count), draw_hard(rng, count)
            runs = choose_runs(partition, counts, lengths)
            for i, name in enumerate(names):
                rng = np.random.default_rng([seed, number, i])
                state = draw_state(rng, offsets[i], lengths[i]) + (VAL_SHIFT if partition == 'val' else 0)
                if partition == 'val' and i == lengths.argmin():
                    state[:] = state[0]
                    special['constant'] = (name,)
                observed = draw_faces(rng, lengths[i], MISSING_HARD if hard[i] else MISSING_EASY)
                labels = to_labels(state)
                if i in runs:
                    labels[draw_run(rng, lengths[i])] = np.nan
                writer.add(
                    name,
                    partition,
                    features=mixer.features(rng, (state - MEAN) / SPREAD, observed),
                    labels=None if partition == 'test' else labels,
                    valid=valid_masks(observed),
                    fps=float(rng.choice(RATES, p=RATE_PROBABILITIES)),
                )
            frames[partition] = int(lengths.sum())
            if runs:
                special['runs'] = tuple(names[i] for i in runs)
    return DemoSummary(counts, frames, special['runs'], special['constant'][0])


MOST_VIDEOS = 100_000
LARGEST_SCALE = 20.0  # the longest video then has half a million frames, which take some GB of memory


def check_counts(videos: Sequence[int], scale: float, seed: int, least_train: int = 1) -> dict[str, int]:
    """Number of videos per partition; ConfigError if one of them, the scale or the seed is out of range."""
    if seed < 0:
        raise ConfigError(f'seed {seed}: give a whole number of 0 or above')
    if max(videos) > MOST_VIDEOS or scale > LARGEST_SCALE:
        raise ConfigError(
            f'videos {tuple(videos)}, scale {scale:g}: at most {MOST_VIDEOS:,} videos of a partition and a '
            f'scale of at most {LARGEST_SCALE:g} can be made'
        )
    counts = dict(zip(LENGTHS, videos, strict=True))
    if counts['train'] < least_train or counts['val'] < 2 or counts['test'] < 0 or not scale > 0:
        raise ConfigError(
            f'videos {tuple(videos)}, scale {scale}: there must be at least {least_train} train, 2 val '
            '(one is constant) and 0 test videos, and a scale above 0'
        )
    return counts
