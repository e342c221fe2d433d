"""Trials of a search that are ended early."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from killed import interrupted_at

from abawfw.engine.hooks import PruningHook
from abawfw.results.study_file import NAME, open_storage


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, Any]:
    """Six trials that have reached .99 and more in five epochs, and a new one."""
    path = tmp_path / 'study.log'
    optuna, storage = open_storage(path, 'the test')
    found = optuna.create_study(study_name=NAME, storage=storage, direction='maximize')
    found.pruner = optuna.pruners.SuccessiveHalvingPruner()  # it notes where trials are when it is asked
    for k in range(6):
        trial = found.ask()
        for epoch in range(1, 6):
            trial.report(0.99 + k / 1000, epoch)
            trial.should_prune()
        found.tell(trial, 0.99)
    found.ask()
    return path, found


def pruning(path: Path, trial: int, pruner: str) -> dict[str, Any]:
    hook = {'type': 'PruningHook', 'study': str(path), 'trial': trial, 'pruner': pruner}
    return {'default_hooks.pruning': hook}


@pytest.mark.parametrize('pruner', ['median', 'asha'])
def test_a_trial_that_lags_behind_is_ended(
    train, study: tuple[Path, Any], tmp_path: Path, pruner: str
) -> None:
    found = train(tmp_path / 'run', **pruning(study[0], 6, pruner))
    assert found['codes'] == [0], found['output']
    assert f'worse than other trials at this epoch ({pruner}): stopping' in found['output']
    summary = json.loads((tmp_path / 'run/summary.json').read_text())
    assert summary['status'] == 'done'
    done = summary['epochs']['done']
    assert done < summary['epochs']['planned'] == 3
    trial = study[1].trials[6]
    assert trial.user_attrs == {'pruned': done}
    rows = (tmp_path / 'run/metrics.csv').read_text().splitlines()
    column = rows[0].split(',').index('val_ccc')
    assert trial.intermediate_values == pytest.approx(
        {epoch: float(row.split(',')[column]) for epoch, row in enumerate(rows[1:], 1)}
    )


@pytest.mark.parametrize(
    ('trial', 'message'), [(3, 'trial 3 of .* has ended already'), (9, 'has no trial 9')]
)
def test_a_trial_that_is_none(
    train, study: tuple[Path, Any], tmp_path: Path, trial: int, message: str
) -> None:
    found = train(tmp_path / 'run', **pruning(study[0], trial, 'median'))
    assert found['codes'] != [0]
    assert re.search(message, found['output'])
    assert 'Traceback' not in found['output']


EPOCHS = 6
SCORES = {'asha': [0.999, 0.999, 0.999, 0.5, 1, 1], 'median': [0.5, 1, 1, 1, 1, 1]}
ENDS = {'asha': 4, 'median': 1}  # epochs of a power of 4; any epoch


def epochs_of(path: Path, pruner: str, kill: Callable[[int], int | None] = lambda epoch: None) -> int:
    """Epochs that trial 6 trains, begun again from the last epoch that was saved whenever it is killed.

    Args:
        kill: called after every epoch, before it is saved; the epoch to go on from, or None to go on.
    """
    saved = 0
    while True:
        loop = SimpleNamespace(stop_training=False, record={})
        runner: Any = SimpleNamespace(
            **{'rank': 0, 'epoch': saved, 'max_epochs': EPOCHS, 'train_loop': loop},
            model=SimpleNamespace(targets=('valence', 'arousal')),
            logger=logging.getLogger('pruning'),
        )
        hook = PruningHook(str(path), 6, pruner)
        try:
            hook.before_train(runner)
            while runner.epoch < EPOCHS and not loop.stop_training:
                loop.record = {'val_ccc': SCORES[pruner][runner.epoch]}
                runner.epoch += 1
                hook.between_epochs(runner)
                if (before := kill(runner.epoch)) is not None:
                    saved = before
                    raise KeyboardInterrupt
                saved = runner.epoch
            return runner.epoch
        except KeyboardInterrupt:
            continue


def kept_of(study: Any) -> tuple[Any, ...]:
    trial = study.trials[6]
    return trial.intermediate_values, trial.user_attrs, trial.system_attrs


@pytest.mark.parametrize('pruner', ['asha', 'median'])
def test_a_killed_trial_ends_where_it_would_have(
    study: tuple[Path, Any], pruner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any write to the file, before the state of an epoch is saved, and behind it."""
    from optuna.storages.journal import JournalFileBackend

    path, found = study
    new, real = path.read_bytes(), JournalFileBackend.append_logs
    end = ENDS[pruner]
    assert epochs_of(path, pruner) == end
    whole, kept = path.read_bytes(), kept_of(found)
    assert kept[1] == {'pruned': end}
    assert epochs_of(path, pruner) == end  # begun once more from the beginning, all that is known
    assert path.read_bytes() == whole
    writes = len(whole.splitlines()) - len(new.splitlines())
    assert writes > end

    def study_anew() -> Any:
        path.write_bytes(new)
        optuna, storage = open_storage(path, 'the test')
        return optuna.load_study(study_name=NAME, storage=storage)

    for last in range(writes):
        again = study_anew()
        monkeypatch.setattr(JournalFileBackend, 'append_logs', interrupted_at(last, real))
        assert epochs_of(path, pruner) == end
        monkeypatch.undo()
        assert kept_of(again) == kept
    for back in (0, 1, end):
        again, left = study_anew(), [max(0, end - back)]
        kill = lambda epoch, left=left: left.pop() if epoch == end and left else None  # noqa: E731
        assert epochs_of(path, pruner, kill) == end
        assert kept_of(again) == kept
