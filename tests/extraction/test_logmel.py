"""Log-mel spectrograms against golden numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from abawfw.extraction.extractors.base import rows_at
from abawfw.extraction.extractors.logmel import mel_frames, mel_windows


@pytest.fixture(scope='module')
def golden_mel(golden_tagf: Path) -> dict[str, np.ndarray]:
    with np.load(golden_tagf / 'logmel.npz') as file:
        return dict(file)


def padded(wave: np.ndarray) -> np.ndarray:
    """The reference's input: int16 as fractions, and a second of the last sample behind it."""
    return np.pad(wave / 32768, (0, 16000), mode='edge')


def test_spectrogram(golden_mel: dict[str, np.ndarray]) -> None:
    mel = mel_frames(padded(golden_mel['wave_int16']))
    np.testing.assert_allclose(mel, golden_mel['log_mel'], rtol=0, atol=1e-6)


@pytest.mark.parametrize('fps', [24, 25, 29.97, 30, 15])
def test_where_windows_start(golden_mel: dict[str, np.ndarray], fps: float) -> None:
    starts = golden_mel[f'starts_fps{fps}']
    np.testing.assert_array_equal(rows_at(np.arange(int(golden_mel[f'n_fps{fps}'])) / fps), starts)


def test_a_window(golden_mel: dict[str, np.ndarray]) -> None:
    mel = mel_frames(padded(golden_mel['wave_int16'])).astype(np.float16)
    window = mel_windows(mel, golden_mel['starts_fps30'][:1])
    np.testing.assert_array_equal(window, golden_mel['example0_fps30'][None])


def test_a_tone_is_in_its_band() -> None:
    """1 kHz lies between the 22nd and 24th of 64 bands that are even on the mel scale of HTK."""
    mel = mel_frames(np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000))
    centres = np.linspace(*(1127 * np.log(1 + np.array([125, 7500]) / 700)), 66)[1:-1]
    assert mel[50].argmax() == np.abs(centres - 1127 * np.log(1 + 1000 / 700)).argmin()


def test_silence_is_finite() -> None:
    np.testing.assert_allclose(mel_frames(np.zeros(800)), np.log(0.01))
