"""Training epochs that can start and stop between any two batches."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.runner.loops import BaseLoop, EpochBasedTrainLoop
from torch import Tensor
from torch.utils.data import DataLoader

from abawfw.components import Count
from abawfw.engine.distributed import average_buffers
from abawfw.engine.training_state import bare_model, set_random_state
from abawfw.registry import LOOPS

READ_EVERY = 50  # batches: a wait this rare costs nothing, and this much is lost if a loss is not finite


@LOOPS.register_module()
class VATrainLoop(EpochBasedTrainLoop):
    """Train for a number of epochs, validating after each.

    Differs from MMEngine's loop in two ways. It starts in mid-epoch exactly where a checkpoint was taken:
    the batch sampler drops the batches already done and the random generators are set once the data loader
    runs. And three hook calls come after validation: ``after_epoch``,
    when the figures of the epoch are complete and the model is the one they belong to; ``between_epochs``,
    for what changes before the next epoch, such as weights and rates; ``save_state``, when all of that is
    settled. In distributed training the ranks' running statistics are averaged before validation.

    What hooks want to know of every batch, such as its loss, they leave on the device, and read it when
    ``read`` is called: after every ``read_every`` batches, at the end of an epoch, and before a training
    state is saved. Reading a value waits for all that the device still computes.

    Args:
        runner: of the run.
        dataloader: of the training partition.
        max_epochs: how many epochs.
        read_every: batches between two readings; None for 1 on a CPU, where nothing is waited for, and 50
            elsewhere.

    Attributes:
        batch (int): batches of the current epoch that are done.
        record (dict): figures of the current epoch; hooks add to it, the log writes it as one row.
        val_seconds (float): how long the last validation took; 0 before the first.
    """

    def __init__(
        self, runner: Any, dataloader: DataLoader, max_epochs: Count, read_every: Count | None = None
    ) -> None:
        BaseLoop.__init__(self, runner, dataloader)
        self._max_epochs = int(max_epochs)
        self.read_every = read_every or (1 if get_device() == 'cpu' else READ_EVERY)
        self._epoch = self._iter = self.batch = 0
        self._random_state: dict[str, Any] | None = None
        self.stop_training = False
        self.record: dict[str, float] = {}
        self.val_seconds = 0.0

    @property
    def max_iters(self) -> int:
        """Number of updates, as far as the current epoch shows: lanes may differ by a few between epochs."""
        return self._max_epochs * len(self.dataloader.batch_sampler)

    def continue_from(self, epoch: int, iteration: int, batch: int, random_state: dict[str, Any]) -> None:
        """Start at this position instead of at the beginning."""
        self._epoch, self._iter, self.batch, self._random_state = epoch, iteration, batch, random_state

    def run(self) -> torch.nn.Module:
        """Train to the end, or until a hook sets ``stop_training``."""
        self.runner.call_hook('before_train')
        while self._epoch < self._max_epochs and not self.stop_training:
            self.record = {'epoch': self._epoch + 1}
            self.run_epoch()
            if self.runner.val_loop is not None:
                self.validate()
            self.runner.call_hook('after_epoch')
            self.runner.call_hook('between_epochs')
            self.runner.call_hook('save_state')
        self.runner.call_hook('after_train')
        return self.runner.model

    def validate(self) -> None:
        """Score the model and record that."""
        started = time.perf_counter()
        self.record.update({f'val_{k}': v for k, v in self.runner.val_loop.run().items()})
        self.record['val_seconds'] = self.val_seconds = time.perf_counter() - started

    def run_epoch(self) -> None:
        """Train on the batches of the current epoch that are not done yet."""
        self.dataloader.batch_sampler.set_epoch(self._epoch, self.batch)
        batches = iter(self.dataloader)
        model = bare_model(self.runner)
        if self.batch == 0:
            model.reset_lanes()
        if self._random_state is not None:
            set_random_state(self._random_state)
            self._random_state = None
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        for data_batch in batches:
            self.run_iter(self.batch, data_batch)
        self.read()
        average_buffers(model)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
        self.batch = 0

    def run_iter(self, idx: int, data_batch: dict) -> None:
        """One update. ``after_iter`` is called when the counters already point behind it."""
        super().run_iter(idx, data_batch)
        self.batch += 1
        if self.at_reading:
            self.read()
        self.runner.call_hook('after_iter')

    @property
    def at_reading(self) -> bool:
        """Whether what is on the device is read after the last batch."""
        return self.batch % self.read_every == 0

    def read(self) -> None:
        """Have hooks read what they left on the device."""
        self.runner.call_hook('read')


def read_scalars(values: Sequence[Tensor]) -> list[float]:
    """Numbers from wherever they are, waiting once for each device."""
    alike: dict[tuple[torch.device, torch.dtype], list[int]] = {}
    for place, value in enumerate(values):
        alike.setdefault((value.device, value.dtype), []).append(place)
    found = [math.nan] * len(values)
    for indices in alike.values():
        numbers = torch.stack([values[i] for i in indices]).tolist()
        for place, number in zip(indices, numbers, strict=True):
            found[place] = number
    return found
