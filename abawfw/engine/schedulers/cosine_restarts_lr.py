"""The learning rate of Mamba-VA."""

from __future__ import annotations

import math
from typing import Any, Literal

from abawfw.components import Count, WholeNumber
from abawfw.registry import PARAM_SCHEDULERS

FLOOR = 1e-8  # where the warm-up begins and every cosine ends


@PARAM_SCHEDULERS.register_module()
class CosineRestartsLR:
    """A linear warm-up, then cosines, each twice as long as the last (docs/mamba_va.md, Training).

    The rate changes with every batch: ``ParamSchedulerHook`` reports each to the schedule, which sets rates
    itself and so stands alone in ``param_scheduler``.

    Args:
        optimizer: optimiser or wrapper whose rate is scheduled.
        warmup: epochs of the warm-up; 0 for none.
        period: length of the first cosine.
        unit: what ``period`` counts, ``epoch``, or ``batch`` as in the reference.
        end: not used; MMEngine hands every schedule the number of epochs.

    Attributes:
        epochs: epochs since the beginning.
    """

    by_epoch = True
    position = ('epochs', 'base_rates')  # the shape is the config's, which may ask for more epochs
    newer = ('base_rates',)

    def __init__(
        self,
        optimizer: Any,
        warmup: WholeNumber,
        period: Count,
        unit: Literal['epoch', 'batch'] = 'epoch',
        end: int | None = None,
    ) -> None:
        self.optimizer, self.warmup, self.period, self.unit = optimizer, warmup, period, unit
        self.base_rates: list[float] = [group['lr'] for group in optimizer.param_groups]
        self.epochs = 0

    def step(self) -> None:
        """An epoch is over."""
        self.epochs += 1

    def before_batch(self, batch: int, batches: int) -> None:
        """Set the rate of a batch.

        Args:
            batch: its index within the epoch.
            batches: batches of this epoch.
        """
        past, warmup = self.epochs * batches + batch, self.warmup * batches
        for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            if warmup and past <= warmup:
                group['lr'] = FLOOR + rate * past / warmup
            else:
                at = self._place((past - warmup) / (batches if self.unit == 'epoch' else 1))
                group['lr'] = FLOOR + (rate - FLOOR) * (1 + math.cos(math.pi * at)) / 2

    def _place(self, past: float) -> float:
        """How far a cosine has come, from 0 to 1."""
        length = self.period
        while past >= length:
            past -= length
            length *= 2
        return past / length

    def state_dict(self) -> dict[str, Any]:
        """The position."""
        return {name: getattr(self, name) for name in self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a position."""
        for name in state.keys() & set(self.position):
            setattr(self, name, state[name])
