"""A small data set that behaves like Aff-Wild2, made from nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence

from abawfw.datasets.demo.signals import (
    LENGTHS,
    RATE_PROBABILITIES,
    RATES,
    SENSES,
    DemoSummary,
    DemoVideos,
    Mixer,
    valid_masks,
)
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer
from abawfw.errors import ConfigError

MIN_FRAMES = 50


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
    digits = len(str(max(counts.values())))
    names = {partition: [f'{partition}_{i:0{digits}d}' for i in range(n)] for partition, n in counts.items()}
    drawn, mixer = DemoVideos(seed, names, scale, MIN_FRAMES), Mixer(seed)
    with RUCAIM3Writer(root, {name: (sense.dim,) for name, sense in SENSES.items()}) as writer:
        for video in drawn:
            writer.add(
                video.name,
                video.partition,
                features=mixer.features(video.rng, video.emotion, video.observed),
                labels=video.labels,
                valid=valid_masks(video.observed),
                fps=float(video.rng.choice(RATES, p=RATE_PROBABILITIES)),
            )
    return drawn.summary


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
