"""Pages of large runs and data: how long they take to write and to open, and how large they are."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from abawfw.apis.report import write_comparison, write_data_report, write_run_report
from abawfw.conventions import TARGETS
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer
from abawfw.errors import DataError
from abawfw.results.predictions import write_predictions
from abawfw.results.run import PREDICTIONS
from abawfw.results.side_files import write_faces
from benchmarks.timing import Spread, seconds

CHROMIUM = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
DRAWN = 'html[data-drawn=true]'


def benchmark_report(rounds: int, videos: int = 600, frames: int = 3_000_000) -> dict[str, Any]:
    """Write the three kinds of pages of made-up runs and data, and open them.

    Args:
        rounds: how often.
        videos: of each run, and of the data.
        frames: of all videos together.

    Returns:
        ``videos``, ``frames``, and for each of ``run``, ``comparison`` (of two runs) and ``data``:
        ``write_seconds``, ``megabytes`` and ``open``: ``load_seconds`` until the browser has loaded the page
        and ``drawn_seconds`` until every figure is drawn, or, where there is no Chromium or no playwright,
        why it was not opened.
    """
    found: dict[str, Any] = {'videos': videos, 'frames': frames}
    with tempfile.TemporaryDirectory() as folder:
        lengths = uneven_lengths(videos, frames)
        runs = [make_large_run(Path(folder) / name, lengths, seed) for seed, name in enumerate(('a', 'b'))]
        store = make_large_store(Path(folder) / 'data', lengths)
        page = Path(folder) / 'page.html'
        for name, write in (
            ('run', partial(write_run_report, runs[0], page)),
            ('comparison', partial(write_comparison, runs, page)),
            ('data', partial(write_data_report, store, page)),
        ):
            took = [seconds(write) for _ in range(rounds)]
            figures = {'write_seconds': Spread.of(took), 'megabytes': page.stat().st_size / 1e6}
            found[name] = figures | {'open': _opened(page, rounds)}
    return found


def _opened(page: Path, rounds: int) -> dict[str, Spread] | str:
    try:
        opened = [open_in_chromium(page) for _ in range(rounds)]
    except DataError as error:
        return str(error)
    loaded, drawn = zip(*opened, strict=True)
    return {'load_seconds': Spread.of(loaded), 'drawn_seconds': Spread.of(drawn)}


def uneven_lengths(videos: int, frames: int) -> dict[str, int]:
    """Frames by name of video, which differ as much as those of real videos."""
    weight = np.random.default_rng(0).lognormal(0, 0.8, videos)
    lengths = np.maximum(10, (weight / weight.sum() * frames).astype(int)).tolist()
    return {f'video_{i:03}': n for i, n in enumerate(lengths)}


def made_labels(frames: int, seed: Sequence[int]) -> np.ndarray:
    """(frames,), of which one in fifty is not there."""
    rng = np.random.default_rng(seed)
    label = np.clip(np.cumsum(rng.normal(0, 0.02, frames)), -1, 1).round(3)
    return np.where(rng.random(frames) < 0.02, np.nan, label)


def make_large_run(folder: Path, lengths: Mapping[str, int], seed: int) -> Path:
    """Prediction files of val; runs of all seeds have the same labels."""
    rng = np.random.default_rng(seed)
    for column, target in enumerate(TARGETS):
        labels = {v: made_labels(n, [i, column]) for i, (v, n) in enumerate(lengths.items())}
        preds = {
            v: (0.7 * np.nan_to_num(y) + rng.normal(0, 0.15, len(y))).round(6) for v, y in labels.items()
        }
        write_predictions(folder / PREDICTIONS, 'val', target, preds, labels, 50)
    write_faces(folder / PREDICTIONS, {v: rng.random(n) < 0.97 for v, n in lengths.items()})
    return folder


def make_large_store(folder: Path, lengths: Mapping[str, int]) -> Path:
    """A data set with one small feature; one video in five is val."""
    with RUCAIM3Writer(folder, {'voice': (2,)}) as writer:
        for i, (video, n) in enumerate(lengths.items()):
            labels = np.stack([made_labels(n, [i, column]) for column in range(2)], axis=1)
            labels[np.isnan(labels).any(axis=1)] = np.nan  # the layout has both or none
            features = {'voice': np.nan_to_num(labels)}
            writer.add(video, 'train' if i % 5 else 'val', features, labels, fps=30.0)
    return folder


PATIENCE = 600_000  # milliseconds for a page to open, on a busy machine too


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
        load = seconds(lambda: tab.goto(page.as_uri(), timeout=PATIENCE))
        drawn = load + seconds(lambda: tab.wait_for_selector(DRAWN, state='attached', timeout=PATIENCE))
        browser.close()
    return load, drawn
