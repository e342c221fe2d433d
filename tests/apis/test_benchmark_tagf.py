"""The benchmark of TAGF compares models that are equal."""

from __future__ import annotations

from benchmarks.tagf import VARIANTS, benchmark_tagf


def test_equal_models_in_turn() -> None:
    figures = benchmark_tagf(rounds=1, batch=2, length=8)
    assert figures['difference']['output'] < 1e-5
    assert figures['difference']['gradient'] < 1e-4
    for name in VARIANTS:
        assert 0 < figures[name]['over_reference'].min < float('inf')
        assert figures[name]['cpu_seconds'].min > 0
