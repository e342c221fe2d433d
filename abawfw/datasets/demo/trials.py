"""A small data set of one folder of .npy files per trial that behaves like Aff-Wild2, made from nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from abawfw.datasets.demo.rucaim3 import check_counts
from abawfw.datasets.demo.signals import (
    RATE_PROBABILITIES,
    RATES,
    DemoSummary,
    DemoVideos,
    Mixer,
    Sense,
    slow_noise,
)
from abawfw.datasets.stores.trials.writer import TrialWriter
from abawfw.errors import ConfigError

MIN_FRAMES = 150
FACES = {
    'video_embedding': Sense(512, 0, 0.6, 0.1, 0.5, rectified=False, is_face=True),
}
VOICES = {
    'audio_embedding': Sense(128, 12, 0.8, 0.1, 0.5, rectified=False, is_face=False),
    'vggish': Sense(128, 12, 1.0, 0.15, 0.6, rectified=True, is_face=False),
    'bert': Sense(768, 0, 1.0, 0.15, 0.8, rectified=False, is_face=False),
}
PIXELS = {'video': (48, 48, 3), 'logmel': (96, 64)}
DIMS = PIXELS | {name: (sense.dim,) for name, sense in (FACES | VOICES).items()}
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
    disturbances: drawn faces (``video``), audio (``logmel``, ``vggish``), transcript (``bert``), and what
    backbones make of the first two (``video_embedding``, ``audio_embedding``). Where no face was found
    images are black, the embedding is the one vector of a black image, and masks say so. The last
    two trials of train are the two persons of one recording, NAME_left and NAME_right: they share its audio.

    Args:
        root: Folder to make; must not exist or be empty.
        seed: The same seed gives the same data.
        videos: Number of train, val and test trials: at least 2, 2 and 0; folds need 5 of train.
        scale: Length of the trials, relative to Aff-Wild2; none is shorter than 150 frames.
        missing: How many more faces are missing than in Aff-Wild2: 1 is as many (6 %), 5 a quarter of all.

    Raises:
        ConfigError: If a number of trials or the scale is too small or too large, or the seed or missing is
            negative.
        DataError: If ``root`` exists and is not an empty folder.
    """
    counts = check_counts(videos, scale, seed, least_train=2)
    if not missing >= 0:
        raise ConfigError(f'missing={missing}: 0 or more, relative to Aff-Wild2')
    names = {partition: _names(partition, count) for partition, count in counts.items()}
    drawn, artist = DemoVideos(seed, names, scale, MIN_FRAMES, missing), _Artist(seed)
    with TrialWriter(root, DIMS, DTYPES) as writer:
        for video in drawn:
            rng, emotion = video.rng, video.emotion
            features = artist.faces(rng, emotion, video.observed)
            if not video.name.endswith('_right'):  # who speaks to the left is heard on both sides
                fps = float(rng.choice(RATES, p=RATE_PROBABILITIES))
                audio = artist.audio(rng, emotion, fps)
            writer.add(
                video.name,
                video.partition,
                features | audio,
                video.labels,
                dict.fromkeys(('video', 'video_embedding'), video.observed),
                fps,
            )
    return drawn.summary


class _Artist:
    """Draws the features of a trial from its emotion."""

    def __init__(self, seed: int) -> None:
        self._faces, self._voices = Mixer(seed, FACES), Mixer(seed, VOICES)
        black = np.random.default_rng([seed, len(FACES), len(VOICES)]).standard_normal(512)
        self._black = (black / np.linalg.norm(black)).astype(np.float32)

    def faces(
        self, rng: np.random.Generator, emotion: NDArray[np.float64], observed: NDArray[np.bool_]
    ) -> dict[str, NDArray]:
        """Visual features: images, and their embedding of length 1."""
        embedding = self._faces.features(rng, emotion, observed)['video_embedding']
        embedding[~observed] = self._black
        embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
        return {'video': draw_images(rng, emotion, observed), 'video_embedding': embedding}

    def audio(self, rng: np.random.Generator, emotion: NDArray[np.float64], fps: float) -> dict[str, NDArray]:
        """Audio and transcript features: log-mel, its two embeddings, and vectors of words."""
        features: dict[str, NDArray] = dict(
            self._voices.features(rng, emotion, np.ones(len(emotion), dtype=bool))
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


SIZE = 48
"""Height and width in pixels, as face crops are stored (docs/tagf.md, Preprocessing)."""
BLUR, BLUR_FRAMES = 0.5, 15.0
DARKEST = 12
"""No pixel of an image is darker: black frames are those without a face."""


def draw_images(
    rng: np.random.Generator, emotion: NDArray[np.float64], observed: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Faces (frames, 48, 48, 3): the mouth bends with valence; eyes, brows and mouth open with arousal.

    Skin, background and where the face sits are those of the video, as they mean nothing. Frames without a
    face are black.

    Args:
        rng: source of disturbances and noise of this video.
        emotion: (frames, 2) of mean 0 and standard deviation 1 over all videos.
        observed: (frames,) whether there is a face.
    """
    frames = len(emotion)
    blur = np.stack([slow_noise(rng, frames, BLUR_FRAMES) for _ in range(2)], axis=1)
    shown = np.tanh((emotion + BLUR * blur) / 2)
    bend, opening = (shown[:, k, None, None].astype(np.float32) for k in range(2))
    sway = np.stack([slow_noise(rng, frames, 60.0) for _ in range(2)], axis=1) * 0.02
    down, right = (sway[:, k, None, None].astype(np.float32) for k in range(2))

    axis = np.linspace(-1, 1, SIZE, dtype=np.float32)
    y, x = axis[None, :, None] - down, axis[None, None, :] - right
    face = 1 / (1 + np.exp(8 * ((x / 0.75) ** 2 + (y / 0.95) ** 2 - 1)))
    mouth_at = 0.45 + 0.2 * bend * (0.5 - (x / 0.35) ** 2)
    mouth = np.exp(-(((y - mouth_at) / (0.1 + 0.04 * opening)) ** 2) - (x / 0.4) ** 4)
    side = np.abs(x) - 0.32
    eyes = np.exp(-((side / 0.14) ** 2) - ((y + 0.2) / (0.12 + 0.06 * opening)) ** 2)
    brows = np.exp(-((side / 0.18) ** 4) - ((y + 0.5 + 0.08 * opening) / 0.06) ** 2)
    dark = 0.8 * mouth + 0.7 * eyes + 0.6 * brows

    skin = rng.uniform(110, 230) * np.array([1.0, 0.8, 0.68]) + rng.normal(0, 8, 3)
    background = rng.uniform(30, 200, 3)
    light = (1 + 0.05 * slow_noise(rng, frames, 100.0))[:, None, None].astype(np.float32)
    images = np.empty((frames, SIZE, SIZE, 3), np.uint8)
    for colour in range(3):
        inside = np.float32(skin[colour]) * (1 - np.clip(dark, 0, 0.9))
        values = light * (face * inside + (1 - face) * np.float32(background[colour]))
        values += 4 * rng.standard_normal(values.shape, np.float32)
        images[..., colour] = np.clip(values, DARKEST, 255)
    images[~observed] = 0
    return images


BANDS, WINDOW, RATE = 64, 96, 100.0
"""Mel bands, mel frames of a window and mel frames per second (docs/tagf.md, Preprocessing)."""
DELAY = 0.4
"""Seconds by which the voice lags behind the face."""
MEAN_WORD, MEAN_PAUSE = 0.35, 0.25


def draw_logmel(rng: np.random.Generator, emotion: NDArray[np.float64], fps: float) -> NDArray[np.float16]:
    """Windows (frames, 96, 64) that start at the video frames: arousal is loud, valence is bright.

    Args:
        rng: source of disturbances and noise of this video.
        emotion: (frames, 2) of mean 0 and standard deviation 1 over all videos.
        fps: frames per second of the video.
    """
    starts = np.round(np.arange(len(emotion)) * RATE / fps).astype(int)
    count = int(starts[-1]) + WINDOW
    frame = np.clip((np.arange(count) / RATE - DELAY) * fps, 0, len(emotion) - 1)
    heard = np.stack([np.interp(frame, np.arange(len(emotion)), column) for column in emotion.T], axis=1)
    heard += 0.7 * np.stack([slow_noise(rng, count, 50.0) for _ in range(2)], axis=1)
    voice = np.clip(0.6 + 0.5 * slow_noise(rng, count, 20.0), 0.1, 1)[:, None]
    tilt = np.linspace(-1, 1, BANDS)
    level = -1.5 + 1.2 * np.tanh(heard[:, 1:] / 2) + 1.2 * np.tanh(heard[:, :1] / 2) * tilt - 0.8 * tilt
    room = rng.normal(0, 0.2, BANDS)
    mel = np.log(0.01 + voice * np.exp(level + room)) + 0.3 * rng.standard_normal((count, BANDS))
    windows = sliding_window_view(mel.astype(np.float16), WINDOW, axis=0)[starts]
    return np.ascontiguousarray(windows.swapaxes(1, 2))


def draw_words(rng: np.random.Generator, num_frames: int, fps: float) -> NDArray[np.int64]:
    """For every frame the frame at which the word spoken then began, (frames,); -1 between words."""
    began = np.full(num_frames, -1)
    frame = 0
    while frame < num_frames:
        frame += round(rng.exponential(MEAN_PAUSE) * fps)
        stop = frame + max(1, round(rng.gamma(4, MEAN_WORD / 4) * fps))
        began[frame:stop] = frame
        frame = stop
    return began
