"""The page of a large run: how long it takes to write and to open, and how large it is."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from abawfw.apis.benchmark.timing import Spread, seconds
from abawfw.apis.report import write_run_report
from abawfw.errors import DataError
from abawfw.evaluation.face_file import write_faces
from abawfw.evaluation.prediction_files import write_predictions

CHROMIUM = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
DRAWN = 'html[data-drawn=true]'


def benchmark_report(rounds: int, videos: int = 600, frames: int = 3_000_000) -> dict[str, Any]:
    """Write the page of a made-up run and open it.

    Args:
        rounds: how often.
        videos: of the run.
        frames: of all videos together.

    Returns:
        ``videos``, ``frames``, ``write_seconds``, ``megabytes`` and ``open``: ``load_seconds`` until the
        browser has loaded the page and ``drawn_seconds`` until every figure is drawn, or, where there is no
        Chromium or no playwright, why it was not opened.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = make_large_run(Path(folder) / 'large', videos, frames)
        page = run / 'report.html'
        took = [seconds(partial(write_run_report, run, page)) for _ in range(rounds)]
        figures = {'videos': videos, 'frames': frames, 'write_seconds': Spread.of(took)}
        figures['megabytes'] = page.stat().st_size / 1e6
        try:
            opened = [open_in_chromium(page) for _ in range(rounds)]
        except DataError as error:
            return figures | {'open': str(error)}
    loaded, drawn = zip(*opened, strict=True)
    return figures | {'open': {'load_seconds': Spread.of(loaded), 'drawn_seconds': Spread.of(drawn)}}


def make_large_run(folder: Path, videos: int, frames: int) -> Path:
    """Prediction files of val with lengths that differ as much as those of real videos."""
    rng = np.random.default_rng(0)
    share = rng.lognormal(0, 0.8, videos)
    lengths = np.maximum(10, (share / share.sum() * frames).astype(int))
    names = [f'video_{i:03}' for i in range(videos)]
    for target in ('valence', 'arousal'):
        labels, preds = {}, {}
        for name, n in zip(names, lengths, strict=True):
            label = np.clip(np.cumsum(rng.normal(0, 0.02, n)), -1, 1).round(3)
            preds[name] = (0.7 * label + rng.normal(0, 0.15, n)).round(6)
            labels[name] = np.where(rng.random(n) < 0.02, np.nan, label)
        write_predictions(folder / 'predictions', 'val', target, preds, labels, 50)
    write_faces(
        folder / 'predictions', {v: rng.random(n) < 0.97 for v, n in zip(names, lengths, strict=True)}
    )
    return folder


def open_in_chromium(page: Path) -> tuple[float, float]:
    """Seconds from the address to the page loaded, and to every figure drawn, in a fresh browser.

    Raises:
        DataError: there is no Chromium, or no playwright.
    """
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        raise DataError(f'not opened: none of {", ".join(CHROMIUM)} is on the path')
    try:
        playwright = importlib.import_module('playwright.sync_api')
    except ImportError as error:
        raise DataError(f'not opened: playwright cannot be imported ({error})') from error
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=['--no-sandbox'])
        tab = browser.new_page(viewport={'width': 1440, 'height': 900})
        load = seconds(lambda: tab.goto(page.as_uri()))
        drawn = load + seconds(lambda: tab.wait_for_selector(DRAWN, state='attached'))
        browser.close()
    return load, drawn
