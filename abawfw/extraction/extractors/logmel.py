"""Log-mel spectrograms of speech, cut into one window per video frame (docs/tagf.md, Preprocessing)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from abawfw.extraction.audio.audio import Audio
from abawfw.extraction.extractors.base import AudioExtractor, chunked_rows
from abawfw.registry import EXTRACTORS

RATE = 16000
WINDOW, HOP = 400, 160  # 25 ms every 10 ms
FFT = 512
BANDS = 64
LOWEST, HIGHEST = 125.0, 7500.0  # Hz
OFFSET = 0.01  # keeps the logarithm of silence finite
EXAMPLE = 96  # mel frames of one window: .96 s


def mel_frames(samples: NDArray[np.floating]) -> NDArray[np.float64]:
    """Log-mel frames of some samples, nothing padded.

    25 ms every 10 ms under a periodic Hann window, magnitudes of an FFT of 512, 64 HTK mel bands from 125 to
    7500 Hz, log(x + .01).

    Args:
        samples: (samples,) of 16 kHz mono within [-1, 1], at least 400.

    Returns:
        (1 + (samples - 400) // 160, 64).
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    magnitudes = np.abs(rfft(frames * _hann(), FFT))
    return np.log(magnitudes @ _mel_weights() + OFFSET)


def mel_windows(mel: NDArray, starts: NDArray[np.int64]) -> NDArray:
    """Windows (n, 96, 64) of a spectrogram (mel frames, 64) from each of (n,) frames on."""
    windows = np.lib.stride_tricks.sliding_window_view(mel, EXAMPLE, axis=0)[starts]
    return np.ascontiguousarray(windows.swapaxes(1, 2))


@cache
def _hann() -> NDArray[np.float64]:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)


def _mel(hertz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Frequency on the mel scale of HTK."""
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)


@cache
def _mel_weights() -> NDArray[np.float64]:
    """Triangles, (257, 64), that overlap by half and are straight on the mel scale."""
    edges = np.linspace(_mel(LOWEST), _mel(HIGHEST), BANDS + 2)
    bins = _mel(np.linspace(0, RATE / 2, FFT // 2 + 1))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0, np.minimum(rising, falling))
    weights[0] = 0  # the constant part is inaudible
    return weights


AFTER = ((EXAMPLE - 1) * HOP + WINDOW) / RATE  # seconds that a window reaches


@EXTRACTORS.register_module('logmel')
class LogMel(AudioExtractor):
    """.96 s of log-mel spectrogram from the time of each frame on, float16 (docs/tagf.md, Preprocessing).

    Windows start at the 10 ms step nearest to the frame's time; the end is padded with the last sample.
    """

    name = 'logmel'
    dtype = 'float16'

    @property
    def dims(self) -> tuple[int, ...]:
        """Mel frames of a window, mel bands."""
        return (EXAMPLE, BANDS)

    def rows(self, audio: Audio, times: NDArray[np.float64]) -> Iterator[NDArray[np.float16]]:
        """See `AudioExtractor.rows`."""
        for mel, starts in chunked_rows(audio, times, _half_precision, before=0, after=AFTER, edge=True):
            yield mel_windows(mel, starts)


def _half_precision(samples: NDArray[np.float32]) -> NDArray[np.float16]:
    return mel_frames(samples.astype(np.float64)).astype(np.float16)
