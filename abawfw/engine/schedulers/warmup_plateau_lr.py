"""The learning rate of TAGF and its family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from abawfw.components import Fraction, NonNegative, WholeNumber
from abawfw.errors import ConfigError, nearest
from abawfw.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class WarmupPlateauLR:
    """A linear warm-up, then a lower rate whenever validation no longer improves (docs/tagf.md, Training).

    During the warm-up the rate grows with every batch and reaches the full one in the last. After it, the
    rate is multiplied by ``factor`` once more than ``patience`` epochs have passed without a strictly better
    score; a better score during the warm-up counts, a worse one does not. ``ParamSchedulerHook`` gives the
    schedule of batches and scores. It sets the rate of every batch itself, so it stands alone in
    ``param_scheduler``.

    Args:
        optimizer: optimiser or wrapper whose rate is scheduled.
        warmup: epochs of the warm-up; 0 for none.
        patience: epochs without improvement that leave the rate as it is.
        factor: what the rate is multiplied by.
        monitor: the score: 'ccc', 'ccc_valence' or 'ccc_arousal'.
        restarting: warm up as the reference does: from 0 again in each epoch, towards a fifth of the rate in
            the fifth of five epochs (docs/tagf.md, What differs, and why).
        groups: names of the parameter groups whose rate falls at a plateau, such as ``head`` or another part
            of ``paramwise_cfg``, with the groups that patterns take out of them; None for all. The others
            keep theirs; all of them warm up.
        threshold: fraction of the best score by which one is better; 0 for any.
        lowest: rate below which none falls.
        end: not used; MMEngine hands every schedule the number of epochs.

    Attributes:
        epochs: epochs since the beginning, or since :meth:`restart`.

    Raises:
        ConfigError: an argument is out of its range, or there is no group of a name.
    """

    by_epoch = True
    # Attributes that make up the position, which a resumed run takes over; the others are the config's.
    position = ('epochs', 'waited', 'best', 'rates', 'base_rates')

    def __init__(
        self,
        optimizer: Any,
        warmup: WholeNumber = 5,
        patience: WholeNumber = 5,
        factor: Fraction = 0.1,
        monitor: str = 'ccc',
        restarting: bool = False,
        groups: Sequence[str] | None = None,
        threshold: NonNegative = 0.0,
        lowest: NonNegative = 0.0,
        end: int | None = None,
    ) -> None:
        if warmup < 0 or patience < 0 or not 0 < factor < 1:
            raise ConfigError(
                f'WarmupPlateauLR(warmup={warmup}, patience={patience}, factor={factor}): the first two are '
                f'epochs, 0 or more, and the factor lies between 0 and 1'
            )
        self.optimizer, self.warmup, self.patience, self.factor = optimizer, warmup, patience, factor
        self.monitor, self.restarting = monitor, restarting
        self.threshold, self.lowest = threshold, lowest
        names = [group.get('name', str(i)) for i, group in enumerate(optimizer.param_groups)]
        for group in groups or ():
            if not any(_belongs(name, group) for name in names):
                raise ConfigError(
                    f'WarmupPlateauLR: no parameter group is called {group!r}; {nearest(group, names)}. '
                    'Parts of sub-networks get one by optim_wrapper.paramwise_cfg'
                )
        self.falling = [groups is None or any(_belongs(name, g) for g in groups) for name in names]
        self.base_rates: list[float] = [group['lr'] for group in optimizer.param_groups]
        self.best = -float('inf')
        self.restart()

    def restart(self) -> None:
        """Begin again with the warm-up; the best score stays the one to beat."""
        self.epochs = self.waited = 0
        self.rates = list(self.base_rates)

    def step(self) -> None:
        """Nothing: MMEngine calls this after the training of an epoch, whose score is unknown then."""

    def before_batch(self, batch: int, batches: int) -> None:
        """Set the rate of a batch.

        Args:
            batch: its index within the epoch.
            batches: batches of this epoch.
        """
        fraction = 1.0
        if self.epochs < self.warmup and self.restarting:
            fraction = batch / (batches * self.warmup) * (self.epochs + 1) / self.warmup
        elif self.epochs < self.warmup:
            fraction = (self.epochs + (batch + 1) / batches) / self.warmup
        self._set(fraction)

    def after_validation(self, score: float) -> None:
        """Take the score of an epoch into account."""
        self.epochs += 1
        if score > self.best + self.threshold * (abs(self.best) if self.best > -float('inf') else 0.0):
            self.best, self.waited = score, 0
        elif self.epochs > self.warmup:
            self.waited += 1
        if self.waited > self.patience:
            self.rates = [
                max(min(rate, self.lowest), rate * self.factor) if falls else rate
                for rate, falls in zip(self.rates, self.falling, strict=True)
            ]
            self.waited = 0
        if self.epochs >= self.warmup:
            self._set(1.0)

    def is_below(self, rate: float) -> bool:
        """Whether the warm-up is over and the rate of every group that falls is below this one."""
        falling = [r for r, falls in zip(self.rates, self.falling, strict=True) if falls]
        return self.epochs > self.warmup and max(falling) < rate

    def _set(self, fraction: float) -> None:
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group['lr'] = rate * fraction

    def state_dict(self) -> dict[str, Any]:
        """The position."""
        return {name: getattr(self, name) for name in self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a position."""
        for name in self.position:
            setattr(self, name, state[name])


def _belongs(name: str, group: str) -> bool:
    """Whether a group is this one, or what a pattern took out of it: ``head *.bias`` out of ``head``."""
    return f'{name} '.startswith(f'{group} ')
