"""How long a run takes to begin and how much memory it takes, with much and with ten times as much data."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.config import Config

from abawfw.apis.benchmark.first_iterations import FirstIterations, run_first_iterations
from abawfw.apis.benchmark.random_store import RandomStore
from abawfw.apis.benchmark.timing import Spread, in_turn
from abawfw.apis.check import check_config
from abawfw.config import resolve
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.pack import pack_store
from abawfw.errors import ConfigError
from abawfw.files import write_text

LENGTH = 500  # frames of a video
GROWTH = 10
ITERATIONS = 10


def benchmark_startup(cfg: Config, rounds: int, frames: int) -> dict[str, Any]:
    """Start runs of a config on packed stores of random data, each in a fresh process.

    The stores have the config's features as its own store has them, are written in full to a temporary
    folder, and differ in the number of videos alone.

    Args:
        cfg: loaded config, references not resolved.
        rounds: runs with each store.
        frames: frames of the smaller store.

    Returns:
        Per store: videos, frames, MiB on disk, seconds of imports, from there to the end of the first update,
        and peak memory after a few updates; and the ratio of the peaks.

    Raises:
        ConfigError: not enough frames for the updates of a run; others as training.
    """
    check_config(cfg)
    resolved = resolve(cfg)
    known = open_store(resolved.data_root).features()
    features = {name: known[name] for name in resolved.features}
    needed = 5 * LENGTH
    if frames < needed:
        raise ConfigError(
            f'--frames {frames} is too few for a store with training and evaluation: at least {needed}'
        )
    figures: dict[str, Any] = {}
    actions: dict[str, Callable[[], Any]] = {}
    with TemporaryDirectory(prefix='abawfw-benchmark-') as folder:
        config = Path(folder) / 'config.py'
        write_text(config, cfg.pretty_text)
        for name, videos in (('small', frames // LENGTH), ('large', GROWTH * (frames // LENGTH))):
            root = Path(folder) / name
            pack_store(RandomStore(Path(folder), features, videos, LENGTH), root)
            size = sum(path.stat().st_blocks * 512 for path in root.iterdir())
            figures[name] = {'videos': videos, 'frames': videos * LENGTH, 'disk_mib': size / 2**20}
            actions[name] = partial(_in_fresh_process, config, root)
        took = in_turn(actions, rounds)
    for name, runs in took.items():
        columns = zip(*runs, strict=True)
        figures[name] |= {
            key: Spread.of(values) for key, values in zip(FirstIterations._fields, columns, strict=True)
        }
    peaks = {name: [run.peak_mib for run in runs] for name, runs in took.items()}
    figures['peak_large_over_small'] = Spread.of_ratios(peaks['large'], peaks['small'])
    return figures


def _in_fresh_process(config: Path, data_root: Path) -> FirstIterations:
    with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:
        return pool.submit(run_first_iterations, config, {'data_root': str(data_root)}, ITERATIONS).result()
