"""The benchmark of Mamba's scan."""

from __future__ import annotations

from benchmarks.scan import benchmark_scan


def test_figures() -> None:
    figures = benchmark_scan(1, lengths=(8, 16), batch=1, frames=4)
    assert figures['8_frames']['over_shortest'] == (1, 1, 1)
    assert figures['16_frames']['microseconds_per_frame'].min > 0
    assert figures['mamba_over_transformer'].median > 0
    assert figures['largest_difference_frame_by_frame'] < 1e-5
