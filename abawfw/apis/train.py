"""Training a run."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_dist_info, is_distributed

from abawfw.apis.build import build_loader, model_config
from abawfw.apis.check import check_config
from abawfw.config import resolve
from abawfw.engine.checkpoint import resumable_checkpoints
from abawfw.engine.distributed import init_distributed
from abawfw.engine.va_runner import VARunner
from abawfw.errors import Interrupted, TrainingError


def train(cfg: Config, work_dir: Path, resume: bool | Path = False, launcher: str = 'none') -> dict[str, Any]:
    """Train the run that a config declares.

    Args:
        cfg: loaded config, references not resolved; it is written to the work_dir as it is.
        work_dir: where everything of the run is written.
        resume: True to continue from the newest training state of the work_dir (or begin if there is none), a
            path to continue from that one.
        launcher: 'none', or what started this process as one of several: 'pytorch', 'slurm' or 'mpi'.

    Returns:
        The run's summary, as in ``summary.json``.

    Raises:
        ConfigError, DataError: before anything is built or written.
        TrainingError: the work_dir holds another run, the loss is not finite, or the disk is full.
        Interrupted: Ctrl-C or SIGTERM; the message says how to continue.
    """
    check_config(cfg)
    resolved = resolve(cfg)
    if not resume and resumable_checkpoints(work_dir):
        raise TrainingError(
            f'{work_dir} holds a run already: continue it with --resume, or choose another place with --work-dir'
        )
    init_distributed(launcher)
    loaders = {key: build_loader(resolved, key) for key in ('train_dataloader', 'val_dataloader')}
    keys = ('train_cfg', 'val_cfg', 'optim_wrapper', 'param_scheduler', 'val_evaluator', 'default_hooks', 'custom_hooks')
    parts = {k: v for k, v in resolved.to_dict().items() if k in (*keys, 'visualizer', 'randomness', 'default_scope')}
    with warnings.catch_warnings():
        # an empty list of recorders is what we want; MMEngine warns about it at every start
        warnings.filterwarnings('ignore', message='.*`Visualizer` backend is not initialized.*')
        runner = VARunner(
            model=model_config(resolved, loaders['train_dataloader'].dataset.input_dims),
            work_dir=str(work_dir),
            **loaders,
            **parts,
            resume=bool(resume),
            load_from=str(resume) if isinstance(resume, Path) else resolved.get('load_from'),
            launcher='pytorch' if is_distributed() else 'none',
            experiment_name=Path(work_dir).name,
            cfg=cfg,
        )
    try:
        runner.train()
    except Interrupted:
        runner.call_hook('after_stop', status='interrupted')
        raise
    except BaseException:
        runner.call_hook('after_stop', status='failed')
        raise
    finally:
        if is_distributed():
            torch.distributed.destroy_process_group()
    return json.loads((work_dir / 'summary.json').read_text())


def default_work_dir(config: Path) -> Path:
    """``work_dirs/NAME`` for a config file NAME.py, below the current folder."""
    return Path('work_dirs') / config.stem


def is_main_process() -> bool:
    """Whether this process prints: rank 0, or the only one."""
    return get_dist_info()[0] == 0 and os.environ.get('RANK', '0') == '0'
