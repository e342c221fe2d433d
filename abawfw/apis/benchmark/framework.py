"""Epochs of the real framework, one at a time and with a clock."""

from __future__ import annotations

import copy
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from abawfw.apis.train import build_runner


class EpochSeconds(NamedTuple):
    """Where the seconds of an epoch went: training with its hooks, evaluation, what is written after it."""

    train: float
    evaluation: float
    saving: float


def with_precision(cfg: Config, precision: str) -> Config:
    """A copy of a loaded config that trains in another precision."""
    copied = copy.deepcopy(cfg)
    copied.optim_wrapper.precision = precision
    return copied


class FrameworkEpochs:
    """A run as tools/train.py starts it, stopped after each epoch until the next is asked for.

    Building it trains the first epoch, without a clock, through the runner's own ``train``.

    Args:
        cfg: checked config, references not resolved.
        work_dir: where the run is written; its name must not be that of another run of this process.
    """

    def __init__(self, cfg: Config, work_dir: Path) -> None:
        once = copy.deepcopy(cfg)
        once.train_cfg.max_epochs = 1
        once.default_hooks.pop('progress', None)  # a bar per timed epoch would tear up what is printed
        self.runner = build_runner(once, work_dir, log_level='WARNING')
        self.runner.train()

    def epoch(self) -> EpochSeconds:
        """Train, evaluate and save as ``VATrainLoop.run`` does in each epoch."""
        loop = self.runner.train_loop
        loop.record = {'epoch': loop.epoch + 1}
        times = [time.perf_counter()]
        loop.run_epoch()
        times.append(time.perf_counter())
        loop.record.update({f'val_{k}': v for k, v in self.runner.val_loop.run().items()})
        times.append(time.perf_counter())
        loop.record['val_seconds'] = times[2] - times[1]
        for event in ('after_epoch', 'between_epochs', 'save_state'):
            self.runner.call_hook(event)
        times.append(time.perf_counter())
        return EpochSeconds(*(b - a for a, b in pairwise(times)))
