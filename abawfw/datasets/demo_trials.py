"""A small data set of one folder of .npy files per trial that behaves like Aff-Wild2, made from nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.demo import VAL_SHIFT, DemoSummary, check_counts
from abawfw.datasets.demo_draws import (
    MISSING_EASY,
    MISSING_HARD,
    RATE_SHARES,
    RATES,
    choose_runs,
    draw_faces,
    draw_hard,
    draw_lengths,
    draw_run,
)
from abawfw.datasets.demo_features import Mixer, Sense
from abawfw.datasets.demo_labels import MEAN, SPREAD, draw_offsets, draw_state, to_labels
from abawfw.datasets.demo_pixels import draw_pictures
from abawfw.datasets.demo_sound import draw_logmel, draw_words
from abawfw.datasets.stores.trial_writer import TrialWriter
from abawfw.errors import ConfigError

MIN_FRAMES = 150
FACES = {
    'video_embedding': Sense(512, 0, 0.6, 0.1, 0.5, rectified=False, is_face=True),
}
SOUNDS = {
    'audio_embedding': Sense(128, 12, 0.8, 0.1, 0.5, rectified=False, is_face=False),
    'vggish': Sense(128, 12, 1.0, 0.15, 0.6, rectified=True, is_face=False),
    'bert': Sense(768, 0, 1.0, 0.15, 0.8, rectified=False, is_face=False),
}
PIXELS = {'video': (48, 48, 3), 'logmel': (96, 64)}
DIMS = PIXELS | {name: (sense.dim,) for name, sense in (FACES | SOUNDS).items()}
DTYPES = {'video': 'uint8', 'logmel': 'float16'}


def make_demo_trials(
    root: str | os.PathLike[str],
    seed: int = 0,
    videos: Sequence[int] = (12, 4, 3),
    scale: float = 0.05,
    missing: float = 1.0,
) -> DemoSummary:
    """Write a data set in the npy-per-trial layout with the statistics of Aff-Wild2 (docs/challenge.md).

    Labels are those of ``make_demo_data``. Features are those of TAGF (docs/tagf.md), all seen through
    disturbances: drawn faces (``video``), sound (``logmel``, ``vggish``), words (``bert``), and what
    backbones make of the first two (``video_embedding``, ``audio_embedding``). Where no face was found
    pictures are black, the embedding is the one vector that a black picture gives, and masks say so. The last
    two trials of train are the two persons of one recording, NAME_left and NAME_right: they share its sound.

    Args:
        root: Folder to make; must not exist or be empty.
        seed: The same seed gives the same data.
        videos: Number of train, val and test trials: at least 2, 2 and 0; folds need 5 of train.
        scale: Length of the trials, relative to Aff-Wild2; none is shorter than 150 frames.
        missing: How many more faces are missing than in Aff-Wild2: 1 is as many (6 %), 5 a quarter of all.

    Raises:
        ConfigError: If a number of trials or the scale is too small, or missing is negative.
        DataError: If ``root`` exists and is not an empty folder.
    """
    counts = check_counts(videos, scale, least_train=2)
    if not missing >= 0:
        raise ConfigError(f'missing={missing}: 0 or more, relative to Aff-Wild2')
    frames: dict[str, int] = {}
    runs: tuple[str, ...] = ()
    artist = _Artist(seed)
    with TrialWriter(root, DIMS, DTYPES) as writer:
        for number, (partition, count) in enumerate(counts.items()):
            frames[partition] = 0
            if not count:
                continue
            rng = np.random.default_rng([seed, number])
            names = _names(partition, count)
            lengths = draw_lengths(rng, partition, count, scale, MIN_FRAMES)
            if partition == 'train':
                lengths[-1] = lengths[-2]
            frames[partition] = int(lengths.sum())
            offsets, hard = draw_offsets(rng, count), draw_hard(rng, count)
            unlabelled = choose_runs(partition, counts, lengths)
            runs += tuple(names[i] for i in unlabelled)
            for i, name in enumerate(names):
                rng = np.random.default_rng([seed, number, i])
                state = draw_state(rng, offsets[i], lengths[i]) + (VAL_SHIFT if partition == 'val' else 0)
                if partition == 'val' and i == lengths.argmin():
                    state[:] = state[0]
                    constant = name
                share = missing * (MISSING_HARD if hard[i] else MISSING_EASY)
                observed = draw_faces(rng, lengths[i], min(share, 0.6))
                labels = to_labels(state)
                if i in unlabelled:
                    labels[draw_run(rng, lengths[i])] = np.nan
                emotion = (state - MEAN) / SPREAD
                features = artist.faces(rng, emotion, observed)
                if not name.endswith('_right'):  # who speaks to the left is heard on both sides
                    fps = float(rng.choice(RATES, p=RATE_SHARES))
                    sound = artist.sounds(rng, emotion, fps)
                writer.add(
                    name,
                    partition,
                    features | sound,
                    None if partition == 'test' else labels,
                    dict.fromkeys(('video', 'video_embedding'), observed),
                    fps,
                )
    return DemoSummary(counts, frames, runs, constant)


class _Artist:
    """Draws the features of a trial from its emotion."""

    def __init__(self, seed: int) -> None:
        self._faces, self._sounds = Mixer(seed, FACES), Mixer(seed, SOUNDS)
        black = np.random.default_rng([seed, len(FACES), len(SOUNDS)]).standard_normal(512)
        self._black = (black / np.linalg.norm(black)).astype(np.float32)

    def faces(
        self, rng: np.random.Generator, emotion: NDArray[np.float64], observed: NDArray[np.bool_]
    ) -> dict[str, NDArray]:
        """What is seen: pictures, and their embedding of length 1."""
        embedding = self._faces.features(rng, emotion, observed)['video_embedding']
        embedding[~observed] = self._black
        embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
        return {'video': draw_pictures(rng, emotion, observed), 'video_embedding': embedding}

    def sounds(
        self, rng: np.random.Generator, emotion: NDArray[np.float64], fps: float
    ) -> dict[str, NDArray]:
        """What is heard: log-mel, its two embeddings, and words."""
        features: dict[str, NDArray] = dict(
            self._sounds.features(rng, emotion, np.ones(len(emotion), dtype=bool))
        )
        word = draw_words(rng, len(emotion), fps)
        features['bert'] = np.where(word[:, None] >= 0, features['bert'][word], np.float32(0))
        features['logmel'] = draw_logmel(rng, emotion, fps)
        return features


def _names(partition: str, count: int) -> list[str]:
    """Names of trials; the last two of train are a pair."""
    names = [f'{partition}_{i:0{len(str(count))}d}' for i in range(count)]
    if partition == 'train':
        names[-2:] = [f'{names[-2]}_left', f'{names[-2]}_right']
    return names
