"""The validation score that hooks and schedules watch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from abawfw.engine.training_state import bare_model
from abawfw.errors import ConfigError

if TYPE_CHECKING:
    from mmengine.runner import Runner


def check_monitor(runner: Runner, owner: str, monitor: str) -> None:
    """Check the name of a score before time is spent.

    Args:
        runner: of the run.
        owner: what watches the score, for the message.
        monitor: 'ccc' (the mean over the targets), or 'ccc_TARGET' of a target that the model has.

    Raises:
        ConfigError: validation does not give this score.
    """
    check_name(bare_model(runner).targets, owner, monitor)


def check_name(targets: Iterable[str], owner: str, monitor: str) -> None:
    """As :func:`check_monitor`, for the targets of a model."""
    known = ['ccc', *(f'ccc_{t}' for t in targets)]
    if monitor not in known:
        raise ConfigError(f'{owner}.monitor {monitor!r} is not validated; choose from {", ".join(known)}')


def monitored_score(runner: Runner, monitor: str) -> float:
    """The score of the epoch that has just been validated."""
    return float(runner.train_loop.record[f'val_{monitor}'])
