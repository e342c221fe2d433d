"""Log-mel windows and words from which the emotion can be heard: sound for the demo data."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from abawfw.datasets.demo_labels import slow_noise

BANDS, WINDOW, RATE = 64, 96, 100.0
"""Mel bands, mel frames of a window and mel frames per second (docs/tagf.md, Preprocessing)."""
DELAY = 0.4
"""Seconds by which the voice lags behind the face."""
MEAN_WORD, MEAN_PAUSE = 0.35, 0.25


def draw_logmel(rng: np.random.Generator, emotion: NDArray[np.float64], fps: float) -> NDArray[np.float16]:
    """Windows (frames, 96, 64) that start at the video frames: arousal is loud, valence is bright.

    Args:
        rng: source of disturbances and noise of this video.
        emotion: (frames, 2) of mean 0 and deviation 1 over all videos.
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
