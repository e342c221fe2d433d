"""The validation score that hooks and schedules watch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from abawfw.errors import ConfigError

if TYPE_CHECKING:
    from mmengine.runner import Runner


def check_monitor(targets: Iterable[str], owner: str, monitor: str) -> None:
    """Check the name of a score before time is spent.

    Args:
        targets: of the model.
        owner: what watches the score, for the message.
        monitor: 'ccc' (the mean over the targets), or 'ccc_TARGET' of a target that the model has.

    Raises:
        ConfigError: validation does not give this score.
    """
    known = ['ccc', *(f'ccc_{t}' for t in targets)]
    if monitor not in known:
        raise ConfigError(f'{owner}.monitor {monitor!r} is not validated; choose from {", ".join(known)}')


def check_measured(targets: Iterable[str], owner: Any) -> None:
    """Check what a hook or schedule from outside watches, which gets all that ``VAMetric`` measures.

    Args:
        targets: of the model.
        owner: has the attribute ``monitor``, and ``rule`` if it has to be said what is better.

    Raises:
        ConfigError: it is not measured, or the better value counts as the worse one.
    """
    name, monitor = type(owner).__name__, owner.monitor
    plain = ['ccc', *(f'{kind}_{target}' for target in targets for kind in ('ccc', 'pcc', 'rmse'))]
    known = [f'{score}{suffix}' for suffix in ('', '_clipped', '_smoothed') for score in plain]
    if monitor not in known:
        raise ConfigError(f'{name}.monitor {monitor!r} is not validated; choose from {", ".join(known)}')
    better = 'less' if monitor.startswith('rmse') else 'greater'
    if getattr(owner, 'rule', better) != better:
        raise ConfigError(f"{name}: {monitor} is better where it is {better}: rule='{better}'")


def monitored_score(runner: Runner, monitor: str) -> float:
    """The score of the epoch that has just been validated."""
    return float(runner.train_loop.record[f'val_{monitor}'])
