"""MMEngine's runner with the repairs that abawfw needs."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # torch imports it with the first optimiser; better here than within the first iteration
from mmengine.device import get_device
from mmengine.dist import barrier
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner

from abawfw.checkpoints import (
    DamagedCheckpointError,
    check_position,
    load_checkpoint,
    load_state_dict,
    position,
    resumable_checkpoints,
    resumable_name,
    save_checkpoint,
)
from abawfw.components import building
from abawfw.datasets.seen import data_seen, other_data
from abawfw.devices import THREADS
from abawfw.engine.compiled_step import compile_steps
from abawfw.engine.training_state import bare_model, capture, changed_settings, restore, run_videos
from abawfw.errors import CheckpointError, few
from abawfw.files import remove_left_over, write_text
from abawfw.registry import RUNNERS
from abawfw.results.run import CONFIG, Run


class _ShortLines(logging.Formatter):
    """Time and message, and what kind it is if it is no plain information."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of the log."""
        if record.levelno > logging.INFO:
            text = f'{record.levelname.lower()}: {record.getMessage()}'
            record = logging.makeLogRecord({**vars(record), 'msg': text, 'args': None})
        return super().format(record)


@RUNNERS.register_module()
class VARunner(Runner):
    """Runner whose checkpoints load without running code and resume exactly.

    Differences from MMEngine 0.10.7: checkpoints are read without calling what they name; resuming restores
    every generator and carried state, from the newest checkpoint that is whole, wherever the work_dir has
    moved to; distributed training runs on CPUs. ``resume`` may also be the path of a checkpoint, which leaves
    ``load_from`` to weights alone.

    Attributes:
        resumed_from: the checkpoint this run continues, if it does.
        facts: lines for the log, written when nothing can refuse the run any more: one that cannot start
            leaves no log.
        machine_options: options of tools/train.py that say what computes, for the command that resumes.
        compile_mode: of ``torch.compile``, for training and validation; None for neither.
        compiled: the same once it is compiled; 'no: ' and why, where that failed; 'no' where it was not asked
            for.
    """

    resumed_from: Path | None = None
    facts: Sequence[str] = ()
    machine_options: Sequence[str] = ()
    compile_mode: str | None = None
    compiled: str = 'no'
    _has_loaded: bool  # of MMEngine

    def dump_config(self) -> None:
        """Write the config, overrides included, as ``config.py`` of the work_dir."""
        if self.rank == 0:
            write_text(Path(self.work_dir) / CONFIG, self.cfg.pretty_text)

    def build_visualizer(self, visualizer: dict | None = None) -> Any:
        """The recorder that the config names, or one that records nothing."""
        return NoRecorder() if visualizer is None else super().build_visualizer(visualizer)

    def _log_env(self, env_cfg: dict) -> None:
        """MMEngine runs compilers here to describe the machine, for seconds; summary.json has versions."""

    def setup_env(self, env_cfg: dict) -> None:
        """MMEngine's, without the threads that it sets for several processes.

        They come too late for torch, and ``computing_with`` would take them for the user's.
        """
        unsaid = [name for name in THREADS if name not in os.environ]
        os.environ |= dict.fromkeys(unsaid, '1')  # as if said: it leaves them alone
        super().setup_env(env_cfg)
        for name in unsaid:
            del os.environ[name]

    def wrap_model(self, model_wrapper_cfg: dict | None, model: Any) -> torch.nn.Module:
        """Move the model to its device and, in distributed training, wrap it."""
        if not self.distributed:
            return model.to(get_device())
        device = torch.device(get_device())
        if device.type == 'cuda':
            device = torch.device('cuda', torch.cuda.current_device())
        return MMDistributedDataParallel(
            module=model.to(device),
            device_ids=[device.index] if device.type == 'cuda' else None,
            forward_sync_buffers=False,
            find_unused_parameters=model.skips_parameters,
        )

    def register_default_hooks(self, hooks: dict[str, Any] | None = None) -> None:
        """Those of the config alone; None removes any, where MMEngine takes it for its own only."""
        self.register_custom_hooks([hook for hook in (hooks or {}).values() if hook is not None])

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """MMEngine's; what goes wrong names the key of the config."""
        with building('param_scheduler'):
            return super().build_param_scheduler(scheduler)

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """MMEngine's; what goes wrong names the key of the config."""
        with building('optim_wrapper'):
            return super().build_optim_wrapper(optim_wrapper)

    def build_train_loop(self, loop: Any) -> Any:
        """MMEngine's; what goes wrong names the key of the config."""
        with building('train_cfg'):
            return super().build_train_loop(loop)

    def build_val_loop(self, loop: Any) -> Any:
        """MMEngine's; what goes wrong names the key of the config."""
        with building('val_cfg'):
            return super().build_val_loop(loop)

    def release(self, names: Sequence[str]) -> None:
        """Train parts of the model that were frozen; every rank must call this at the same point.

        Raises:
            ConfigError: there is no such part.
        """
        model = bare_model(self)
        model.release(names)
        if self.distributed:  # gradients of the wrapped model are reduced for what was trainable then
            self.model = None
            gc.collect()  # a wrapper leaves the parameters alone only when it is gone
            self.model = self.wrap_model(None, model)
        if model.compiled:  # for what was trainable then
            self._maybe_compile('')

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """MMEngine's logger with short lines, and without its list of hooks, forty lines at every start."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            handler.setFormatter(_ShortLines('%(asctime)s %(message)s', '%m/%d %H:%M:%S'))
        logger.addFilter(lambda record: not record.getMessage().startswith('Hooks will be executed'))
        return logger

    def load_or_resume(self) -> None:
        """Load weights, or continue a run, as asked for at construction."""
        if self._has_loaded:
            return
        self._has_loaded = True
        if self.rank == 0:
            remove_left_over(Path(self.work_dir))
        if isinstance(self._resume, Path):
            self._resume_from(self._resume)
        elif not (self._resume and self._resume_newest()) and self._load_from is not None:
            path = Path(self._load_from)
            load_state_dict(bare_model(self), load_checkpoint(path)['state_dict'], path)
        for line in self.facts:
            self.logger.info(line)

    def _maybe_compile(self, target: str) -> None:
        """Compile the steps of training and validation, where MMEngine would compile the whole of one.

        Args:
            target: not used.
        """
        if self.compile_mode is None:
            return
        self.logger.info('compiling: a minute or more, unless the same was compiled here before ...')
        started = time.perf_counter()
        loaders = {True: self.train_dataloader, False: self.val_dataloader}
        model = bare_model(self)
        why = compile_steps(model, self.compile_mode, loaders, self.optim_wrapper.precision)
        if why is None:
            self.compiled = self.compile_mode
            steps = '; '.join(model.compiled[kind].coverage(loader) for kind, loader in loaders.items())
            self.logger.info(f'compiled ({self.compiled}) in {time.perf_counter() - started:,.0f} s: {steps}')
        else:
            self.compiled = f'no: {why}'
            self.logger.warning(f'cannot be compiled, and computes as without compile: {why}')

    def _resume_newest(self) -> bool:
        """Continue from the newest training state that is whole; False if there is none at all."""
        damaged = []
        for path in resumable_checkpoints(Path(self.work_dir)):
            try:
                self._resume_from(path)
            except DamagedCheckpointError as error:
                damaged.append(str(error))
                self.logger.warning(f'{error}; trying the one before')
                continue
            return True
        if damaged:
            raise CheckpointError('no checkpoint of this run can be read: ' + '; '.join(damaged))
        self.logger.info(f'nothing to resume in {self.work_dir}: starting from the beginning')
        return False

    def _resume_from(self, path: Path) -> None:
        checkpoint: dict[str, Any] = load_checkpoint(path)
        check_position(path, checkpoint)
        refuse_other_videos(self, checkpoint, path)
        load_state_dict(bare_model(self), checkpoint['state_dict'], path)
        restore(self, checkpoint, path)
        self.resumed_from = path
        self.logger.info(f'resumed from {path}: epoch {self.epoch}, batch {self.train_loop.batch}')
        changed = changed_settings(checkpoint['meta']['config'], self.cfg.pretty_text)
        if changed:
            self.logger.warning(
                f'the config differs from the one {path.name} was trained with, in: {", ".join(changed)}. It '
                f'holds from here on, for the length of schedules too, but learning rates continue as saved'
            )
        barrier()  # every rank has read before rank 0 renames
        if self.rank == 0:
            self._set_later_aside()

    def _set_later_aside(self) -> None:
        """Rename states beyond the resumed one, damaged or left behind: a later resume would take them."""
        here = (self.train_loop.epoch, self.train_loop.batch)
        for later in resumable_checkpoints(Path(self.work_dir)):
            if position(later) > here:
                aside = later.replace(later.with_name(f'{later.name}.unused'))
                self.logger.warning(f'{later.name} is later than the resumed state: renamed to {aside.name}')

    def save_training_state(self) -> Path:
        """Save everything that a resumed run needs; every rank must call this at the same point.

        Returns:
            The file written.
        """
        self.train_loop.read()  # of what is not finite nothing is saved
        path = Path(self.work_dir) / resumable_name(self.train_loop.epoch, self.train_loop.batch)
        state = capture(self)
        if self.rank == 0:
            save_checkpoint(state, path)
            for old in resumable_checkpoints(Path(self.work_dir))[2:]:  # one remains if another is damaged
                old.unlink()
        return path


class NoRecorder:
    """Takes the figures of a run whose config names no ``visualizer``; they are in metrics.csv anyway.

    MMEngine's default makes a drawing canvas, and the import of matplotlib for it takes half a second.
    """

    dataset_meta: Any = None  # set by MMEngine's loops

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """The config is in the work_dir."""

    def add_scalars(self, scalar_dict: dict[str, Any], step: int = 0, **kwargs: Any) -> None:
        """The figures are in metrics.csv."""

    def close(self) -> None:
        """There is nothing to end."""


LISTED = 3
"""Videos of a partition that the error names one by one."""


def refuse_other_videos(runner: Runner, checkpoint: dict[str, Any], path: Path) -> None:
    """Compare the videos a runner has with those of the run that wrote a training state.

    Scores of different videos cannot be compared, so the best epoch and early stopping would mean nothing,
    and a video of one fold's training may be another's validation.

    Args:
        runner: what is about to go on.
        checkpoint: content of the training state.
        path: its file, for the error.

    Raises:
        CheckpointError: the videos to train on or to validate on differ, or the state does not name them; or
            these have other labels or features, as far as summary.json beside the state knows.
    """
    if 'ranks' not in checkpoint:
        return  # weights alone, which restoring refuses
    if 'videos' not in checkpoint:
        raise CheckpointError(
            f'{path}: does not say which videos it was trained and validated on, so this run cannot continue '
            'from it; train again'
        )
    differing = []
    for partition, here in run_videos(runner).items():
        then = checkpoint['videos'][partition]
        left, added = [v for v in then if v not in set(here)], [v for v in here if v not in set(then)]
        if left or added:
            differing += [
                f'{len(videos)} {what} of {partition} ({few(videos, LISTED)})'
                for what, videos in (('no longer', left), ('newly', added))
                if videos
            ]
    if differing:
        changed = changed_settings(checkpoint['meta']['config'], runner.cfg.pretty_text)
        hint = f' ({", ".join(changed)} changed)' if changed else ''
        raise CheckpointError(
            f'{path}: the run had other videos than it has now{hint}: {", ".join(differing)}. '
            'Scores of different videos cannot be compared: start a separate run with another --work-dir '
            'and without --resume, or restore the value that chose the videos'
        )
    then = dict(Run(path.parent).summary.get('data') or {})
    then.pop('shapes', None)  # other features are another architecture, which restoring names
    datasets = runner.train_dataloader.dataset, runner.val_dataloader.dataset
    if then and (changed_data := other_data(then, data_seen(datasets))):
        raise CheckpointError(
            f'{path}: the run has seen other data than there are now: {changed_data} differ. Restore the '
            'data, or start a separate run with another --work-dir and without --resume'
        )
