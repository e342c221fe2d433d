"""The benchmark of pages, on small ones."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.report import CHROMIUM, benchmark_report


def test_without_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, 'which', lambda name: None)
    found = benchmark_report(2, videos=5, frames=400)
    assert (found['videos'], found['frames']) == (5, 400)
    for page in ('run', 'comparison', 'data'):
        assert found[page]['write_seconds'].min > 0
        assert 4 < found[page]['megabytes'] < 6  # plotly.js, and little else
        assert found[page]['open'] == f'not opened: none of {", ".join(CHROMIUM)} is on the path'


@pytest.mark.slow
def test_with_a_browser() -> None:
    pytest.importorskip('playwright', reason='playwright is not installed')
    if not any(map(shutil.which, CHROMIUM)):
        pytest.skip('no Chromium is installed')
    # in a thread: in this one another test may have a browser open, and Playwright starts once in each
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(benchmark_report, 1, videos=5, frames=400).result()
    for page in ('run', 'comparison', 'data'):
        opened = found[page]['open']
        assert 0 < opened['load_seconds'].median < opened['drawn_seconds'].median
