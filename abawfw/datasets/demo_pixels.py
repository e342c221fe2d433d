"""Drawn faces that show the emotion: pictures for the demo data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.demo_labels import slow_noise

SIZE = 48
"""Height and width in pixels, as face crops are stored (docs/tagf.md, Preprocessing)."""
BLUR, BLUR_FRAMES = 0.5, 15.0
DARKEST = 12
"""No pixel of a picture is darker: black frames are those without a face."""


def draw_pictures(
    rng: np.random.Generator, emotion: NDArray[np.float64], observed: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Faces (frames, 48, 48, 3): the mouth bends with valence; eyes, brows and mouth open with arousal.

    Skin, background and where the face sits are those of the video, as they mean nothing. Frames without a
    face are black.

    Args:
        rng: source of disturbances and noise of this video.
        emotion: (frames, 2) of mean 0 and deviation 1 over all videos.
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
    pictures = np.empty((frames, SIZE, SIZE, 3), np.uint8)
    for colour in range(3):
        inside = np.float32(skin[colour]) * (1 - np.clip(dark, 0, 0.9))
        values = light * (face * inside + (1 - face) * np.float32(background[colour]))
        values += 4 * rng.standard_normal(values.shape, np.float32)
        pictures[..., colour] = np.clip(values, DARKEST, 255)
    pictures[~observed] = 0
    return pictures
