"""The benchmark of pages, on small ones."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.report import CHROMIUM, benchmark_report


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
