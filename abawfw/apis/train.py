"""Training a run."""

from __future__ import annotations

import contextlib
import errno
import itertools
import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import barrier, get_dist_info, is_distributed

from abawfw.apis.build import build_loader, check_pretrained, compile_mode, model_config, recorder
from abawfw.apis.check import check_config
from abawfw.checkpoints import after_full_disk, resumable_checkpoints
from abawfw.components import building
from abawfw.config.loading import resolve
from abawfw.datasets.clip_dataset import ClipDataset
from abawfw.datasets.transforms import Normalize
from abawfw.devices import AUTO, TF32, computing_on, computing_with, matmul_precision, multiplying_in
from abawfw.engine.distributed import init_distributed
from abawfw.engine.hooks.interrupt_hook import resume_command
from abawfw.engine.training_state import bare_model
from abawfw.engine.va_runner import VARunner
from abawfw.engine.work_dir_lock import work_dir_lock
from abawfw.errors import CheckpointError, ConfigError, Interrupted, TrainingError, counted, megabytes
from abawfw.results.run import CONFIG, SUMMARY, Run

# MMEngine shares state between runs of one process whose name and second of start are equal (B5.10).
_RUNS = itertools.count()


def train(
    cfg: Config,
    work_dir: Path,
    resume: bool | Path = False,
    launcher: str = 'none',
    say: Callable[[str], None] | None = None,
    device: str = AUTO,
    threads: int | None = None,
) -> dict[str, Any]:
    """Train the run that a config declares.

    Args:
        cfg: loaded config, references not resolved; it is written to the work_dir as it is.
        work_dir: where everything of the run is written.
        resume: True to continue from the newest training state of the work_dir (or begin if there is none), a
            path to continue from that one.
        launcher: 'none', or what started this process as one of several: 'pytorch', 'slurm' or 'mpi'.
        say: called on the main process with a line on what is waited for before there is a log.
        device: what computes, as ``find_device`` takes it; of several processes each takes a GPU of its own.
        threads: of the CPU; None for what ``computing_with`` finds right.

    Returns:
        The run's summary, as in ``summary.json``.

    Raises:
        ConfigError, DataError: before anything is built or written.
        TrainingError: the work_dir holds another run or is in use by one, the loss is not finite, or the disk
            is full.
        Interrupted: Ctrl-C or SIGTERM; the message says how to continue.

    >>> from abawfw.config import load_config
    >>> cfg = load_config('rucaim3/fclstm_xl_demo.py', {'epochs': 1, 'hidden': 8})
    >>> summary = train(cfg, Path('work_dirs/mine'))  # doctest: +LOGS
    >>> summary['status']
    'done'
    """
    with computing_on(device):
        if launcher != 'none' and ':' in device:
            raise ConfigError(
                f'--device {device}, but --launcher {launcher} gives each process a GPU of its own: use cuda '
                'or cpu, and CUDA_VISIBLE_DEVICES to choose among the GPUs'
            )
        check_config(cfg, training=True)
        init_distributed(launcher)
        try:
            with work_dir_lock(work_dir):
                _check_work_dir(work_dir, resume)
                if say is not None and is_main_process():
                    say('reading the data: which videos there are, and statistics for what is normalised')
                settings = resolve(cfg)
                products = settings.get('matmul_precision', TF32)
                with _no_empty_logs(work_dir), multiplying_in(products):
                    with building(str(cfg.filename)):
                        runner = build_runner(cfg, work_dir, resume, launcher)
                    options = {'--device': None if device == AUTO else device, '--threads': threads}
                    runner.machine_options = [f'{k} {v}' for k, v in options.items() if v is not None]
                    with computing_with(threads, settings.get('threads'), bare_model(runner)):
                        runner.facts = facts(runner, settings.optim_wrapper.get('precision', 'fp32'))
                        _run(runner)
                barrier()  # rank 0 has written the summary
        finally:
            if launcher != 'none' and is_distributed():
                torch.distributed.destroy_process_group()
    return Run(work_dir).summary


@contextlib.contextmanager
def _no_empty_logs(work_dir: Path) -> Iterator[None]:
    """Where the block fails, take away what MMEngine has made by then if nothing was written into it."""
    before = set(work_dir.iterdir())
    try:
        yield
    except BaseException:
        if get_dist_info()[0] == 0:
            for folder in set(work_dir.iterdir()) - before:
                if folder.is_dir() and not any(p.stat().st_size for p in folder.rglob('*') if p.is_file()):
                    shutil.rmtree(folder, ignore_errors=True)
        raise


def _check_work_dir(work_dir: Path, resume: bool | Path) -> None:
    """Refuse to mix two runs in one folder."""
    if isinstance(resume, Path) and not resume.is_file():
        raise CheckpointError(f'--resume {resume}: no such checkpoint')
    if 'soup' in Run(work_dir).summary:
        raise TrainingError(
            f'{work_dir} is a mean of weights, which cannot be resumed: train elsewhere, and go on from it '
            f'with load_from={str(work_dir / "best_ccc_TARGET_epoch_N.pth")!r}'
        )
    ours = isinstance(resume, Path) and resume.resolve().parent == work_dir.resolve()
    if resume is not True and not ours and resumable_checkpoints(work_dir):
        raise TrainingError(
            f'{work_dir} holds a run already: continue it with --resume, or choose another place with '
            f'--work-dir'
        )


def build_runner(
    cfg: Config,
    work_dir: Path,
    resume: bool | Path = False,
    launcher: str = 'none',
    log_level: str = 'INFO',
) -> VARunner:
    """Build what :func:`train` runs, from a checked config; arguments as there."""
    resolved = resolve(cfg)
    training = build_loader(resolved, 'train_dataloader')
    validation = build_loader(resolved, 'val_dataloader', fitted=training.dataset.fitted)
    warned = list(check_pretrained(resolved, training.dataset))
    keys = (
        'train_cfg',
        'val_cfg',
        'optim_wrapper',
        'param_scheduler',
        'val_evaluator',
        'default_hooks',
        'custom_hooks',
    )
    parts = {k: v for k, v in resolved.to_dict().items() if k in (*keys, 'default_scope')}
    # other dropout masks on every rank; weights are rank 0's everywhere, whatever the seed
    randomness = {'diff_rank_seed': True, **resolved.get('randomness', {})}
    with warnings.catch_warnings():
        # an empty list of recorders is what we want; MMEngine warns about it at every start
        warnings.filterwarnings('ignore', message='.*`Visualizer` backend is not initialized.*')
        runner = VARunner(
            model=model_config(resolved, training.dataset.input_dims),
            work_dir=str(work_dir),
            train_dataloader=training,
            val_dataloader=validation,
            **parts,
            visualizer=recorder(resolved.to_dict()),
            randomness=randomness,
            resume=resume,
            load_from=resolved.get('load_from'),
            launcher='pytorch' if launcher == 'none' and is_distributed() else launcher,
            experiment_name=f'{work_dir.name}_{next(_RUNS)}',
            log_level=log_level,
            cfg=cfg,
        )
    for line in warned:
        runner.logger.warning(line)
    runner.compile_mode = compile_mode(resolved)
    return runner


def _run(runner: VARunner) -> None:
    """Train, and say in summary.json how it ended."""
    try:
        runner.train()
    except BaseException as error:
        status = 'interrupted' if isinstance(error, KeyboardInterrupt) else 'failed'
        with contextlib.suppress(OSError):  # a full disk must not hide why training ended
            runner.call_hook('after_stop', status=status)
        if isinstance(error, KeyboardInterrupt) and not isinstance(error, Interrupted):
            raise Interrupted(_stopped_at_once(runner)) from error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            left = after_full_disk(Path(runner.work_dir))
            raise TrainingError(f'cannot write to {runner.work_dir}: {error}. {left}') from error
        raise


def _stopped_at_once(runner: VARunner) -> str:
    """What is left of a run whose running batch was not waited for."""
    saved = resumable_checkpoints(Path(runner.work_dir))
    if not saved:
        return 'interrupted before the first training state was saved; the same command begins anew'
    return (
        f'interrupted at once; {saved[0].name} is the last that was saved. Continue with:\n  '
        f'{resume_command(runner)}'
    )


def facts(runner: VARunner, precision: str) -> list[str]:
    """What a run is about to do, for its log: data, model, what computes it, and what was never observed."""
    lines = []
    for name, loader in (('train', runner.train_dataloader), ('val', runner.val_dataloader)):
        dataset: Any = loader.dataset
        infos = [dataset.store.feature(feature) for feature in dataset.features]
        size = sum(math.prod(info.dims) * np.dtype(info.dtype).itemsize for info in infos)
        frames = sum(video.num_frames for video in dataset.videos)
        lines.append(f'{name}: {len(dataset.videos):,} videos, {frames:,} frames, {megabytes(frames * size)}')
        lines.append(f'{name}: {loader.loading.fact}')
    parameters = list(bare_model(runner).parameters())
    count = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    device = torch.cuda.get_device_name() if get_device() == 'cuda' else 'CPU'
    threads = torch.get_num_threads()
    ranks = f', {runner.world_size} processes' if runner.world_size > 1 else ''
    products = f' (float32 multiplied in {multiplied})' if (multiplied := matmul_precision()) else ''
    return [
        *lines,
        f'model: {count:,} parameters, {trained:,} of them trained from the start',
        f'computes on {device} in {precision}{products}, {counted(threads, "thread")}{ranks}',
        *not_normalised(runner.train_dataloader.dataset),
        *never_observed(runner.train_dataloader.dataset),
    ]


def default_work_dir(config: Path) -> Path:
    """``work_dirs/NAME`` for a config file NAME.py; for the config.py of a run, the run."""
    if config.name == CONFIG and (config.parent / SUMMARY).is_file():
        return config.parent
    return Path('work_dirs') / config.stem


def is_main_process() -> bool:
    """Whether this process prints: rank 0, or the only one."""
    return get_dist_info()[0] == 0 and os.environ.get('RANK', '0') == '0'


def not_normalised(dataset: ClipDataset) -> list[str]:
    """A line about the features, images aside, that the model gets as the store has them."""
    found = {name for t in dataset.pipeline if isinstance(t, Normalize) for name in t.features or ()}
    left = [f for f in dataset.features if f not in found and len(dataset.store.feature(f).dims) == 1]
    return [f'not normalised: {", ".join(left)} (normalized = [...] names what is to be)'] if left else []


def never_observed(dataset: ClipDataset) -> list[str]:
    """A line for each feature that was never observed in some videos, where the pipeline heeds masks.

    Looks at masks only: a feature without one, whose frames themselves show it, as images do, is
    omitted.
    """
    if not any(getattr(transform, 'masked', False) for transform in dataset.pipeline):
        return []
    most = 5  # videos that a line names
    lines = []
    for feature in dataset.features:
        names = [
            video.video_id
            for video in dataset.videos
            if dataset.store.knows_observed(video.video_id, feature)
            and not dataset.store.observed(video.video_id, feature, 0, video.num_frames).any()
        ]
        if names:
            listed = ', '.join(names[:most]) + (' ...' if len(names) > most else '')
            lines.append(
                f'masked: in {len(names)} of {len(dataset.videos)} training videos {feature} was never '
                f'observed: {listed}'
            )
    return lines
