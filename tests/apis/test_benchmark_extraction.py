from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abawfw.errors import ConfigError
from abawfw.extraction.audio.audio import Audio
from abawfw.extraction.extractors import base as ten_ms_rows
from abawfw.extraction.extractors import logmel
from benchmarks import extraction
from benchmarks.extraction import RATES, measure_drift


@pytest.mark.parametrize('rate', RATES)
def test_features_keep_to_frames(rate: str) -> None:
    figures = measure_drift(rate, 0.4)
    half = figures.pop('half a frame ms')
    assert len(figures) == 4
    assert all(0 <= off < half for off in figures.values())


def test_an_offset_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features that follow i / 30 at 29.97 fps part from the frames, more and more."""
    chunked = ten_ms_rows.chunked_rows

    def late(sound: Audio, times: np.ndarray, *args: Any, **options: Any) -> Any:
        return chunked(sound, times * 0.999, *args, **options)

    monkeypatch.setattr(logmel, 'chunked_rows', late)
    figures = measure_drift('29.97', 1.0)
    assert figures['logmel last minute ms'] > 50
    assert figures['mfcc last minute ms'] < figures['half a frame ms']


@pytest.mark.slow
def test_every_part_has_its_factor(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, 'PERIOD', 2)
    monkeypatch.setattr(extraction, 'SIZE', (320, 180))
    figures = extraction.benchmark_extraction(1, shared / 'media' / 'single_face.mp4', 0.1, 0.1)
    parts = figures['realtime']
    assert set(extraction.TOGETHER) | set(extraction.OF_AUDIO) | {'decode', 'together'} == set(parts)
    together = 1 / sum(1 / parts[name].median for name in extraction.TOGETHER)
    assert parts['together'].median == pytest.approx(together)
    assert figures['long'].keys() == {'0.01 min', '0.1 min'}
    for long in figures['long'].values():
        assert 50 < long['peak MB'] < 1500
        assert long['times realtime'] > 0
    assert figures['drift'].keys() == set(RATES)


@pytest.mark.parametrize(('minutes', 'drift'), [(0, 10), (30, 0.05)])
def test_too_short(minutes: float, drift: float) -> None:
    with pytest.raises(ConfigError, match=r'at least 0\.1'):
        extraction.benchmark_extraction(1, Path('none.mp4'), minutes, drift)
