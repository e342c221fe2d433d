"""Training that ends when its seconds are used up."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from same_run import assert_same_run
from tiny_runs import Train

from abawfw.engine.hooks import EpochLogHook, TimeBudgetHook
from abawfw.errors import ConfigError

EPOCHS = [(4.0, 1.0), (4.0, 1.0), (2.5, 0.5), (4.0, 1.0)]  # seconds of training and of validation


def stops_after(seconds: float, resume: int = 0) -> tuple[int, bool]:
    """Epochs that are trained on this clock, resumed after one of them, and whether all was used up."""
    log, loop = EpochLogHook(), SimpleNamespace(stop_training=False)
    runner: Any = SimpleNamespace(
        epoch=0, max_epochs=len(EPOCHS), train_loop=loop, logger=logging.getLogger('budget'), hooks=[log]
    )
    hook = TimeBudgetHook(seconds)
    hook.before_train(runner)
    for number, (train, val) in enumerate(EPOCHS, 1):
        log.rows = [*log.rows, {'train_seconds': train, 'val_seconds': val}]
        runner.epoch = number
        hook.between_epochs(runner)
        if number == resume:
            log, hook, loop.stop_training = EpochLogHook(), TimeBudgetHook(seconds), False
            log.load_state_dict(runner.hooks[0].state_dict())
            runner.hooks = [log]
            hook.before_train(runner)
        if loop.stop_training:
            break
    return runner.epoch, hook.used_up


@pytest.mark.parametrize('resume', [0, 1, 2])
@pytest.mark.parametrize(
    ('seconds', 'epochs', 'used_up'),
    [
        (0.1, 1, True),
        (5.0, 1, True),
        (5.1, 2, True),
        (10.1, 3, True),
        (13.0, 3, True),
        (18.0, 4, True),
        (18.1, 4, False),
    ],
)
def test_ends_after_the_epoch_in_which_they_are_used_up(
    seconds: float, epochs: int, used_up: bool, resume: int
) -> None:
    assert stops_after(seconds, resume) == (epochs, used_up)


def test_without_a_clock() -> None:
    with pytest.raises(ConfigError, match=r'needs default_hooks\.log'):
        TimeBudgetHook(1.0).before_train(SimpleNamespace(hooks=[]))  # type: ignore[arg-type]


def budget(seconds: float) -> dict[str, Any]:
    return {'default_hooks.time_budget': {'type': 'TimeBudgetHook', 'seconds': seconds}}


def test_a_run_is_the_same_up_to_its_end(train: Train, original: Path, tmp_path: Path) -> None:
    """An epoch takes more than a microsecond; given more time, the run goes on as if it had had it before."""
    run = tmp_path / 'run'
    found = train(run, **budget(1e-6))
    assert found['codes'] == [0], found['output']
    assert 'are used up after epoch 1 of 3: stopping' in found['output']
    summary = json.loads((run / 'summary.json').read_text())
    assert (summary['status'], summary['epochs']) == ('done', {'done': 1, 'planned': 3})
    assert summary['budget'] == {'seconds': 1e-6, 'used_up': True}
    again = train(run, job={'resume': True}, **budget(1e6))
    assert again['codes'] == [0], again['output']
    summary = json.loads((run / 'summary.json').read_text())
    assert summary['epochs'] == {'done': 3, 'planned': 3}
    assert summary['budget'] == {'seconds': 1e6, 'used_up': False}
    assert_same_run(original, run)
    assert json.loads((original / 'summary.json').read_text())['budget'] is None
