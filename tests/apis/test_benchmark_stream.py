"""Latency of frames is measured on what a run gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import call
from saved_runs import TINY_CHANNELS, TINY_RUCAIM3, save_run

from benchmarks import stream
from benchmarks.stream import benchmark_stream


def test_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, 'FRAMES', 25)
    dims = {'video_embedding': 5, 'audio_embedding': 4}
    run = save_run(tmp_path, 'tagf/can_demo', dims, separate=True, **TINY_CHANNELS)
    figures = benchmark_stream(run, 2)
    assert 0 <= figures['largest_difference'] < 1e-5
    for size in (1, 10):
        part = figures[f'{size}_at_a_time']
        assert 0 < part['ms'].median <= part['slowest_ms'].max
        # real time is 1000 / 30 ms per frame
        assert part['times_real_time'].min > 0


def test_command_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, 'FRAMES', 25)
    run = save_run(tmp_path, 'rucaim3/fclstm_xl_demo', {'affectnet': 5, 'vggish': 3}, **TINY_RUCAIM3)
    found = call(capfd, 'benchmark', 'stream', run, '--rounds', 1)
    assert (found.code, found.err) == (0, '')
    assert 'stream 1_at_a_time ms' in found.out
    found = call(capfd, 'benchmark', 'stream')
    assert found.code == 2
    assert 'benchmark.py stream work_dirs/RUN' in found.err


def test_what_cannot_stream_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    dims = {'video_embedding': 5, 'audio_embedding': 4}
    values = {**TINY_CHANNELS, 'regressor': [6], 'window': 12}
    run = save_run(tmp_path, 'tagf/tagf_embeddings_demo', dims, **values)
    found = call(capfd, 'benchmark', 'stream', run)
    assert found.code == 2
    assert 'cannot run frame by frame. fusion, CoAttentionFusion' in found.err
