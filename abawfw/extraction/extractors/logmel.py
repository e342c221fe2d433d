"""Log-mel spectrograms of speech, cut into one window per video frame (docs/tagf.md, Preprocessing)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from abawfw.errors import DataError
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


def log_mel(wave: NDArray, rate: int) -> NDArray[np.float64]:
    """Log-mel spectrogram of a whole recording, its end padded with its last sample by one second.

    25 ms every 10 ms under a periodic Hann window, magnitudes of an FFT of 512, 64 HTK mel bands from 125 to
    7500 Hz, log(x + .01).

    Args:
        wave: (samples,), mono; int16, or float32 or float64 within [-1, 1].
        rate: samples per second; must be 16000.

    Returns:
        (mel frames, 64); mel frame k covers the 25 ms from k * 10 ms on.

    Raises:
        DataError: another rate, more than one channel, another type, values outside [-1, 1], or no samples.
    """
    if rate != RATE:
        raise DataError(f'audio at {rate} Hz, log-mel needs {RATE} Hz: resample it first')
    return mel_frames(np.pad(_samples(wave), (0, RATE), mode='edge'))


def mel_frames(samples: NDArray[np.floating]) -> NDArray[np.float64]:
    """Log-mel frames of some samples, nothing padded.

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


def window_starts(num_frames: int, fps: float) -> NDArray[np.int64]:
    """First mel frame of the window that starts at each video frame: round(i * 100 / fps).

    Args:
        num_frames: frames of the video.
        fps: its frames per second.

    Returns:
        (num_frames,).

    Raises:
        DataError: a number of frames or a rate that no video has.
    """
    if num_frames < 1 or not 0 < fps < np.inf:
        raise DataError(f'{num_frames} frames at {fps} fps: needs at least one frame and a positive rate')
    # in this order, as the reference rounds: at 24 fps 12.5 becomes 12.499... and so 12
    return np.round(np.arange(num_frames) * ((1 / fps) / (HOP / RATE))).astype(np.int64)


def log_mel_windows(wave: NDArray, rate: int, num_frames: int, fps: float) -> NDArray[np.float16]:
    """The .96 s of log-mel spectrogram from each video frame on, as ``logmel.npy`` holds them.

    Args:
        wave: (samples,), as for `log_mel`.
        rate: samples per second; must be 16000.
        num_frames: frames of the video.
        fps: its frames per second.

    Returns:
        (num_frames, 96, 64).

    Raises:
        DataError: as `log_mel` and `window_starts`, and if the audio ends before the last frame is shown.
    """
    starts = window_starts(num_frames, fps)
    mel = log_mel(wave, rate).astype(np.float16)
    if starts[-1] + EXAMPLE > len(mel):
        raise DataError(
            f'{len(wave) / RATE:.2f} s of audio for a video of {num_frames} frames at {fps:g} fps '
            f'({num_frames / fps:.2f} s): lengthen the audio with silence, or check the rate of the video'
        )
    return mel_windows(mel, starts)


def _samples(wave: NDArray) -> NDArray[np.float64]:
    """The recording as numbers within [-1, 1]."""
    wave = np.asarray(wave)
    if wave.ndim != 1:
        raise DataError(f'audio of shape {wave.shape}: needs one channel, (samples,); mix the channels first')
    if wave.dtype not in (np.int16, np.float32, np.float64):
        raise DataError(f'audio of type {wave.dtype}: needs int16, or float32 or float64 within [-1, 1]')
    if not len(wave):
        raise DataError('audio without a single sample: omit the audio features of this video')
    if wave.dtype == np.int16:
        return wave / 32768.0
    peak = np.abs(wave).max()
    if not peak <= 1:
        raise DataError(f'audio with the value {peak:g}: floating-point samples lie within [-1, 1]')
    return wave.astype(np.float64)


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
