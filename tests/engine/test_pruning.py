"""Trials of a search that are ended early."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from abawfw.results.study_file import NAME, open_storage


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, Any]:
    """Six trials that have reached .99 and more in three epochs, and a new one."""
    path = tmp_path / 'study.log'
    optuna, storage = open_storage(path, 'the test')
    found = optuna.create_study(study_name=NAME, storage=storage, direction='maximize')
    found.pruner = optuna.pruners.SuccessiveHalvingPruner()  # it notes where trials are when it is asked
    for k in range(6):
        trial = found.ask()
        for epoch in (1, 2, 3):
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
