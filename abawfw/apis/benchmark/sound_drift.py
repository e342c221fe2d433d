"""Whether features of sound keep to the times of frames over a long video."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abawfw.apis.benchmark.long_video import SOUND_RATE, write_clip
from abawfw.errors import DataError
from abawfw.features.extractors import build_extractor
from abawfw.features.extractors.base import SoundExtractor
from abawfw.features.logmel import HOP, RATE, WINDOW
from abawfw.features.recording import Recording
from abawfw.features.sound import Sound

RATES = ('23.976', '29.97', 'variable')
CLICK_EVERY = 5.0  # seconds
CLICK = 1200  # samples, 25 ms: as long as a row of MFCC, which else may lie between two frames
BEFORE = 5  # frames before a flash in whose window of log-mel its click is looked for
SIZE = (64, 48)


def measure_drift(rate: str, minutes: float) -> dict[str, float]:
    """Flashes and clicks at the same moments, one every 5 s, and where features of frames have the clicks.

    Log-mel: the centre of the click in the window of the frame five before the flash, counted from that
    frame's time. MFCC: the frame in which it is loudest.

    Args:
        rate: '23.976', '29.97' or 'variable' frames per second.
        minutes: length of the video.

    Returns:
        Largest distances in ms from click to flash over the first and the last minute, and half the shortest
        time between two frames.

    Raises:
        DataError: the flashes are not where they were written.
    """
    written = _frame_times(rate, minutes * 60)
    marked = np.searchsorted(written, np.arange(1, minutes * 60 - 2, CLICK_EVERY))
    sound = np.zeros(round((written[-1] + 1) * SOUND_RATE), np.float32)
    click = np.random.default_rng(0).uniform(-0.5, 0.5, CLICK)
    for at in np.round(written[marked] * SOUND_RATE).astype(int):
        sound[at : at + CLICK] = click
    black, white = np.zeros((*SIZE[::-1], 3), np.uint8), np.full((*SIZE[::-1], 3), 255, np.uint8)
    flashes = set(marked.tolist())
    pictures = (white if i in flashes else black for i in range(len(written)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'clicks.mp4'
        write_clip(path, SIZE, pictures, written, sound)
        seen = [(frame.time, frame.rgb().mean() > 128) for frame in Recording(path).frames()]
        shown, bright = np.array(seen).T
        of_flash = np.flatnonzero(bright)
        if not np.array_equal(of_flash, marked):
            raise DataError(f'{rate}: {len(of_flash)} flashes seen, {len(marked)} written')
        clicks = Sound(path)
        distances = {
            'logmel': _in_windows(clicks, shown, of_flash),
            'mfcc': _loudest(clicks, shown, of_flash),
        }
    near = round(60 / CLICK_EVERY)
    figures = {'half a frame ms': 500 * float(np.diff(shown).min())}
    for name, off in distances.items():
        figures[f'{name} first minute ms'] = 1e3 * float(np.abs(off[:near]).max())
        figures[f'{name} last minute ms'] = 1e3 * float(np.abs(off[-near:]).max())
    return figures


def _in_windows(sound: Sound, shown: NDArray, of_flash: NDArray[np.int64]) -> NDArray[np.float64]:
    """Seconds from each flash to the click in the log-mel window of a frame before it."""
    times = shown[of_flash - BEFORE]
    windows = np.concatenate(list(sound_extractor('logmel').extract(sound, times))).astype(np.float64)
    energy = (np.exp(windows) - np.exp(windows.min())).sum(axis=2)
    middles = (np.arange(energy.shape[1]) * HOP + WINDOW / 2) / RATE
    heard = times + energy @ middles / energy.sum(axis=1) - CLICK / 2 / SOUND_RATE
    return np.asarray(heard - shown[of_flash])


def _loudest(sound: Sound, shown: NDArray, of_flash: NDArray[np.int64]) -> NDArray[np.float64]:
    """Seconds from each flash to the frame of the second around it in which c0 is largest."""
    rows = np.concatenate(list(sound_extractor('mfcc').extract(sound, shown)))[:, 12]
    off = []
    for i in of_flash:
        around = np.flatnonzero(np.abs(shown - shown[i]) < 0.5)
        off.append(shown[around[rows[around].argmax()]] - shown[i])
    return np.array(off)


def sound_extractor(name: str) -> SoundExtractor:
    """An extractor of sound with its own defaults."""
    extractor = build_extractor(name)
    assert isinstance(extractor, SoundExtractor)
    return extractor


def _frame_times(rate: str, seconds: float) -> NDArray[np.float64]:
    if rate == 'variable':
        steps = np.random.default_rng(0).choice([1 / 60, 1 / 30, 1 / 12], int(seconds * 60))
        times = np.cumsum(steps) - steps[0]
    else:
        times = np.arange(int(seconds * 60)) * 1001 / {'23.976': 24000, '29.97': 30000}[rate]
    return np.asarray(times[times < seconds])
