"""The beginning of a run, in a process of its own."""

from __future__ import annotations

import importlib
import multiprocessing
import re
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from abawfw import registry


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
    for module in ('abawfw.apis.train', 'abawfw.apis.check', 'abawfw.config', 'torch._dynamo'):
        importlib.import_module(module)
    for value in vars(registry).values():
        if isinstance(value, registry.Registry):
            value.import_from_location()
    times.append(clock())

    from mmengine.hooks import Hook

    from abawfw.apis.check import check_config
    from abawfw.apis.train import build_runner
    from abawfw.config import load_config

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
