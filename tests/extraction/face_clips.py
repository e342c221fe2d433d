"""Short videos with faces and sound, cut from real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from extraction.made_videos import write_video

from abawfw.extraction.video.recording import Recording

FRAMES = 40


def clip(source: Path, out: Path, start: int = 0, seconds: float = 2.0, count: int = FRAMES) -> Path:
    """``count`` frames of a video, shrunk, with a voice-like sound."""
    pictures, times = [], []
    for frame in Recording(source).frames():
        if frame.index >= start + count:
            break
        if frame.index >= start:
            picture = frame.rgb(320)
            pictures.append(picture[: len(picture) // 2 * 2])
            times.append(frame.time)
    t = np.arange(round(48000 * seconds)) / 48000
    pitch = 120 + 30 * np.sin(2 * np.pi * t + start)
    sound = sum(np.sin(2 * np.pi * k * np.cumsum(pitch) / 48000) / k for k in range(1, 8))
    sound = 0.1 * sound * (1 + np.sin(6 * np.pi * t))
    return write_video(out, pictures, np.array(times) - times[0], sound.astype(np.float32))
