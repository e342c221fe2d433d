"""How long a run takes to begin and how much memory it takes, with much and with ten times as much data."""

from __future__ import annotations

import importlib
import multiprocessing
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from mmengine.config import Config

from abawfw import registry
from abawfw.apis.check import check_config
from abawfw.config.loading import resolve
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.packed.pack import pack_store
from abawfw.errors import ConfigError
from abawfw.files import write_text
from benchmarks.random_store import RandomStore
from benchmarks.timing import Spread, in_turn

LENGTH = 500  # frames of a video
GROWTH = 10
ITERATIONS = 10


def benchmark_startup(cfg: Config, rounds: int, frames: int) -> dict[str, Any]:
    """Start runs of a config on packed stores of random data, streamed, each in a fresh process.

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
            pack_store(RandomStore(Path(folder), features, [LENGTH] * videos), root)
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
        given = {f'{key}.loading.type': 'Stream' for key in ('train_dataloader', 'val_dataloader')}
        given |= {'data_root': str(data_root)}
        return pool.submit(run_first_iterations, config, given, ITERATIONS).result()


class FirstIterations(NamedTuple):
    """Seconds of the imports and from there to the end of the first update; most memory ever held, MiB."""

    import_seconds: float
    first_iteration_seconds: float
    peak_mib: float


def run_first_iterations(config: Path, overrides: dict[str, Any], iterations: int) -> FirstIterations:
    """Check a config, build its run, train for some updates, and stop.

    To be called in a fresh process: what was imported or held before would count.
    """
    # Data loaders of a run fork; a process that was itself spawned would hand that way of starting on.
    multiprocessing.set_start_method('fork', force=True)
    clock = time.perf_counter
    times = [clock()]
    # torch imports its compiler, which nobody uses here, when the first optimiser is built: an import as well
    for module in ('abawfw.apis.train', 'abawfw.apis.check', 'abawfw.config.loading', 'torch._dynamo'):
        importlib.import_module(module)
    for value in vars(registry).values():
        if isinstance(value, registry.Registry):
            value.import_from_location()
    times.append(clock())

    from mmengine.hooks import Hook

    from abawfw.apis.check import check_config
    from abawfw.apis.train import build_runner
    from abawfw.config.loading import load_config

    class StopHook(Hook):
        """Takes the time of the first update and leaves after the last."""

        def after_iter(self, runner: Any) -> None:
            if runner.iter == 1:
                times.append(clock())
            if runner.iter == iterations:
                raise _Enough

    cfg = load_config(config, overrides)
    check_config(cfg)
    with TemporaryDirectory(prefix='abawfw-benchmark-') as folder:
        runner = build_runner(cfg, Path(folder) / 'benchmark-startup', log_level='WARNING')
        runner.register_hook(StopHook(), priority='LOWEST')
        with suppress(_Enough):
            runner.train()
    return FirstIterations(times[1] - times[0], times[2] - times[1], _peak_mib())


class _Enough(Exception):  # noqa: N818 (not an error)
    """The updates asked for are done."""


def _peak_mib() -> float:
    status = Path('/proc/self/status').read_text(encoding='utf-8')
    match = re.search(r'VmHWM:\s+(\d+) kB', status)
    return int(match[1]) / 1024 if match else float('nan')
