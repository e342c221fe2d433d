"""Log-mel spectrograms against golden numbers, and what is no sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from abawfw.errors import DataError
from abawfw.extraction.extractors.logmel import log_mel, log_mel_windows, window_starts

RATES = [24, 25, 29.97, 30, 15]


@pytest.fixture(scope='module')
def golden_mel(golden_tagf: Path) -> dict[str, np.ndarray]:
    with np.load(golden_tagf / 'logmel.npz') as file:
        return dict(file)


def test_spectrogram(golden_mel: dict[str, np.ndarray]) -> None:
    wave = golden_mel['wave_int16']
    np.testing.assert_allclose(log_mel(wave, 16000), golden_mel['log_mel'], rtol=0, atol=1e-6)
    as_float = (wave / 32768).astype(np.float32)
    np.testing.assert_array_equal(log_mel(as_float, 16000), log_mel(wave, 16000))


@pytest.mark.parametrize('fps', RATES)
def test_where_windows_start(golden_mel: dict[str, np.ndarray], fps: float) -> None:
    starts = golden_mel[f'starts_fps{fps}']
    np.testing.assert_array_equal(window_starts(int(golden_mel[f'n_fps{fps}']), fps), starts)


@pytest.mark.parametrize('fps', RATES)
def test_windows(golden_mel: dict[str, np.ndarray], fps: float) -> None:
    starts = golden_mel[f'starts_fps{fps}']
    windows = log_mel_windows(golden_mel['wave_int16'], 16000, len(starts), fps)
    assert windows.shape == (len(starts), 96, 64)
    assert windows.dtype == np.float16
    # a rounding of half precision to either side
    for i, start in enumerate(starts):
        expected = golden_mel['log_mel'][start : start + 96]
        np.testing.assert_allclose(windows[i], expected, rtol=1e-3, atol=1e-3)
    if fps == 30:
        np.testing.assert_array_equal(windows[0], golden_mel['example0_fps30'])


def test_a_tone_is_in_its_band() -> None:
    """1 kHz lies between the 22nd and 24th of 64 bands that are even on the mel scale of HTK."""
    mel = log_mel(np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000), 16000)
    centres = np.linspace(*(1127 * np.log(1 + np.array([125, 7500]) / 700)), 66)[1:-1]
    assert mel[50].argmax() == np.abs(centres - 1127 * np.log(1 + 1000 / 700)).argmin()


def test_silence_is_finite() -> None:
    np.testing.assert_allclose(log_mel(np.zeros(800, np.int16), 16000), np.log(0.01))


def test_the_end_is_padded_with_the_last_sample() -> None:
    wave = np.random.default_rng(0).uniform(-1, 1, 4000)
    longer = np.concatenate([wave, np.full(16000, wave[-1])])
    mel = log_mel(wave, 16000)
    np.testing.assert_allclose(mel, log_mel(longer, 16000)[: len(mel)])
    assert len(mel) == 1 + (20000 - 400) // 160


@pytest.mark.parametrize(
    ('wave', 'rate', 'message'),
    [
        (np.zeros(100, np.int16), 44100, '44100 Hz.*16000 Hz'),
        (np.zeros((100, 2), np.int16), 16000, r'\(100, 2\).*one channel'),
        (np.zeros(100, np.int32), 16000, 'int32.*int16'),
        (np.zeros(0, np.int16), 16000, 'without a single sample'),
        (np.array([0.0, 300.0]), 16000, r'300.*\[-1, 1\]'),
        (np.array([0.0, np.nan]), 16000, 'nan'),
    ],
)
def test_what_is_no_sound(wave: np.ndarray, rate: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        log_mel(wave, rate)


@pytest.mark.parametrize(('frames', 'fps'), [(0, 30), (10, 0), (10, float('nan')), (10, float('inf'))])
def test_what_is_no_video(frames: int, fps: float) -> None:
    with pytest.raises(DataError, match=f'{frames} frames at {fps} fps'):
        window_starts(frames, fps)


def test_sound_shorter_than_the_video() -> None:
    """One second of padding serves a last frame at the end of the sound, and no later one."""
    wave = np.zeros(16000, np.int16)
    assert len(log_mel_windows(wave, 16000, 30, 30)) == 30
    with pytest.raises(DataError, match=r'1\.00 s of audio for a video of 60 frames at 30 fps \(2\.00 s\)'):
        log_mel_windows(wave, 16000, 60, 30)
