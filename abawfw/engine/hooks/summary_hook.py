"""summary.json: the state of a run in one small file."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import mmengine
import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

import abawfw
from abawfw.engine.hooks.checkpoint_hook import VACheckpointHook
from abawfw.engine.hooks.epoch_log_hook import EpochLogHook
from abawfw.engine.origin import code_version, machine
from abawfw.files import write_text
from abawfw.registry import HOOKS


@HOOKS.register_module()
class SummaryHook(Hook):
    """Keep ``summary.json`` of the work_dir up to date.

    Keys: ``status`` (running, done, interrupted, failed; a killed run still says running), ``epochs`` done
    and planned, ``best`` (per key: score, epoch, file), ``seed``, ``config_sha256``, ``versions``,
    ``device``, ``processes``, ``seconds`` of training and validation, ``frames_per_second`` of the last
    epoch, ``config_file`` that the run was started from (null without one), and ``peak_memory``: ``process``,
    and ``gpu`` of PyTorch's tensors, in bytes (null where it is not known). ``git``: ``commit`` and ``dirty``
    of the code as it was when this process began (null outside of a checkout); ``machine``, see
    ``engine.origin``; ``parameters`` of the model.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.begun = False
        self.origin: dict[str, Any] = {}

    def before_train(self, runner: Runner) -> None:
        """Say that the run has begun."""
        self.begun = True
        if runner.rank == 0:  # code that is changed while it trains is not the code that trains
            self.origin = {'git': code_version(), 'machine': machine()}
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
        rows = next((h.rows for h in runner.hooks if isinstance(h, EpochLogHook)), [])
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
            if torch.cuda.is_available()
            else f'cpu ({platform.machine()})',
            'processes': runner.world_size,
            'seconds': round(sum(r['train_seconds'] + r.get('val_seconds', 0.0) for r in rows), 3),
            'frames_per_second': rows[-1]['frames_per_second'] if rows else None,
            'config_file': str(Path(runner.cfg.filename).resolve()) if runner.cfg.filename else None,
            'peak_memory': {
                'process': _peak_memory(),
                'gpu': torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
            },
            'parameters': sum(p.numel() for p in runner.model.parameters()),
            **self.origin,
        }
        write_text(Path(runner.work_dir) / 'summary.json', json.dumps(summary, indent=1) + '\n')


def _peak_memory() -> int | None:
    """Most memory that this process has had, in bytes; Linux tells it."""
    try:
        lines = Path('/proc/self/status').read_text(encoding='utf-8').splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith('VmHWM:')), None)
