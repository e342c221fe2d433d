"""summary.json: the state of a run in one small file."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import mmengine
import numpy as np
import torch
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.runner import Runner

import abawfw
from abawfw.config.diff import config_changes
from abawfw.datasets.clip_dataset import ClipDataset
from abawfw.datasets.seen import data_seen
from abawfw.devices import matmul_precision, usable_cores
from abawfw.engine.hooks.checkpoint_hook import VACheckpointHook
from abawfw.engine.hooks.epoch_log_hook import EpochLogHook
from abawfw.engine.hooks.time_budget_hook import TimeBudgetHook
from abawfw.files import write_text
from abawfw.registry import HOOKS
from abawfw.results.run import SUMMARY


@HOOKS.register_module()
class SummaryHook(Hook):
    """Keep ``summary.json`` of the work_dir up to date.

    Keys: ``status`` (running, done, interrupted, failed; a killed run still says running), ``epochs``
    done and planned, ``best`` (per key: score, epoch, file), ``seed``, ``config_sha256``, ``versions``,
    ``device``, ``precision`` of forward passes and ``matmul_precision`` (null on a CPU), ``compiled`` (see
    ``VARunner.compiled``), ``processes``,
    ``seconds`` of training and validation, their ``budget``: ``seconds``, and whether they are ``used_up``
    (null without one, see ``TimeBudgetHook``), ``frames_per_second`` of the last epoch, ``config_file`` that
    the run was started from (null without one), and ``peak_memory``: ``process``, and ``gpu`` of
    PyTorch's tensors, in bytes (null where it is unknown). ``git``: ``commit`` and ``dirty`` of the code
    as it was when this process began (null outside of a checkout); ``machine``, see ``machine``;
    ``config_changes`` that the file makes to its bases and the command line to the file (see
    ``config.diff.config_changes``); ``parameters`` of the model; ``data`` it has seen, see ``data_seen``
    (null with a dataset of the user's).
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.begun = False
        self.origin: dict[str, Any] = {}

    def before_train(self, runner: Runner) -> None:
        """Say that the run has begun."""
        self.begun = True
        if runner.rank == 0:  # code that is changed while it trains is not the code that trains
            changes = config_changes(runner.cfg) if runner.cfg.filename else None
            datasets = [loader.dataset for loader in (runner.train_dataloader, runner.val_dataloader)]
            data = data_seen(datasets) if all(type(of) is ClipDataset for of in datasets) else None
            self.origin = {'git': code_version(), 'machine': machine(), 'config_changes': changes}
            self.origin['data'] = data
        self._write(runner, 'running')

    def save_state(self, runner: Runner) -> None:
        """Say how far it is."""
        self._write(runner, 'running')

    def after_train(self, runner: Runner) -> None:
        """Say that it is done."""
        self._write(runner, 'done')

    def after_stop(self, runner: Runner, status: str) -> None:
        """Say that the run ended early: 'interrupted' or 'failed'; nothing if it could not even begin."""
        if self.begun:
            self._write(runner, status)

    def _write(self, runner: Runner, status: str) -> None:
        if runner.rank != 0:
            return
        log = next((h for h in runner.hooks if isinstance(h, EpochLogHook)), EpochLogHook())
        budgets = [h for h in runner.hooks if isinstance(h, TimeBudgetHook)]
        budget = min(budgets, key=lambda h: h.seconds, default=None)
        best = next((h.best for h in runner.hooks if isinstance(h, VACheckpointHook)), {})
        summary = {
            'status': status,
            'epochs': {'done': runner.epoch, 'planned': runner.max_epochs},
            'best': best,
            'seed': runner.seed,
            'config_sha256': hashlib.sha256(runner.cfg.pretty_text.encode()).hexdigest(),
            'versions': {
                'abawfw': abawfw.__version__,
                'python': platform.python_version(),
                'torch': torch.__version__,
                'mmengine': mmengine.__version__,
                'numpy': np.__version__,
            },
            'device': torch.cuda.get_device_name()
            if get_device() == 'cuda'
            else f'cpu ({platform.machine()})',
            'precision': runner.optim_wrapper.precision,
            'matmul_precision': matmul_precision(),
            'compiled': runner.compiled,
            'threads': torch.get_num_threads(),
            'processes': runner.world_size,
            'seconds': round(log.seconds, 3),
            'budget': None if budget is None else {'seconds': budget.seconds, 'used_up': budget.used_up},
            'frames_per_second': log.rows[-1]['frames_per_second'] if log.rows else None,
            'config_file': str(Path(runner.cfg.filename).resolve()) if runner.cfg.filename else None,
            'peak_memory': {
                'process': _peak_memory(),
                'gpu': torch.cuda.max_memory_allocated() if get_device() == 'cuda' else None,
            },
            'parameters': sum(p.numel() for p in runner.model.parameters()),
            **self.origin,
        }
        write_text(Path(runner.work_dir) / SUMMARY, json.dumps(summary, indent=1) + '\n')


def _peak_memory() -> int | None:
    """Most memory that this process has had, in bytes; from Linux."""
    try:
        lines = Path('/proc/self/status').read_text(encoding='utf-8').splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith('VmHWM:')), None)


CHECKOUT = Path(abawfw.__file__).resolve().parents[1]
GIT_SECONDS = 10  # longer than git takes on a slow network drive; training does not wait for more


def code_version() -> dict[str, Any] | None:
    """The commit that this code was checked out from, and whether anything in abawfw/ differs from it.

    Returns:
        ``commit``, 40 hex digits, and ``dirty``; None where the code is no separate checkout, such as an
        installed package, or where git is missing.
    """
    top = _git('rev-parse', '--show-toplevel')
    commit = _git('rev-parse', 'HEAD')
    changes = _git('status', '--porcelain', '--', 'abawfw')
    # an installed package inside of another project's checkout is not of that project's commit
    if top is None or not commit or changes is None or Path(top).resolve() != CHECKOUT:
        return None
    return {'commit': commit, 'dirty': bool(changes)}


def _git(*words: str) -> str | None:
    """What git prints for the checkout; None if it cannot."""
    try:
        done = subprocess.run(
            ['git', '-C', str(CHECKOUT), *words],
            capture_output=True,
            text=True,
            check=True,
            timeout=GIT_SECONDS,
            stdin=subprocess.DEVNULL,
            env={**os.environ, 'GIT_OPTIONAL_LOCKS': '0'},  # looks only
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """Operating system, CPU, cores, memory in bytes, names of GPUs, and versions of torch and CUDA."""
    cuda = torch.cuda.is_available()
    return {
        'os': _operating_system(),
        'cpu': cpu_info().get('model name', platform.processor() or platform.machine()),
        'cores': usable_cores(),
        'memory': _memory(),
        'gpus': [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else [],
        'torch': torch.__version__,
        'cuda': torch.version.cuda,
    }


def cpu_info() -> dict[str, str]:
    """The first processor's entry of Linux's list; {} elsewhere."""
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').split('\n\n')[0].splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(':') for line in lines)}


def _operating_system() -> str:
    kernel = f'{platform.system()} {platform.release()}'
    try:
        return f'{platform.freedesktop_os_release()["PRETTY_NAME"]}, {kernel}'
    except (OSError, KeyError):
        return kernel


def _memory() -> int | None:
    try:
        return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    except (AttributeError, OSError, ValueError):
        return None
