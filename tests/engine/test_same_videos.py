"""A resumed run goes on with the videos it was begun with, and only with these."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny_runs import Train

from abawfw.checkpoints import load_checkpoint, save_checkpoint


def first(count: int) -> dict[str, int]:
    """Overrides that leave this many videos of each partition."""
    return {f'{partition}_dataloader.dataset.debug': count for partition in ('train', 'val')}


@pytest.fixture(scope='module')
def begun(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs with two videos to train on and two to validate on."""
    run = tmp_path_factory.mktemp('same') / 'run'
    found = train(run, epochs=2, **first(2))
    assert found['codes'] == [0], found['output']
    return run


def test_other_videos_are_refused(train: Train, begun: Path, tmp_path: Path) -> None:
    there = load_checkpoint(begun / 'epoch_2.pth')['videos']
    assert [len(there[p]) for p in ('train', 'val')] == [2, 2]
    run = shutil.copytree(begun, tmp_path / 'run')
    before = sorted(p.name for p in run.rglob('*'))
    for count, told in (
        (1, f'1 no longer of train ({there["train"][1]}), 1 no longer of val'),
        (3, '1 newly of train ('),
    ):
        found = train(run, job={'resume': True}, epochs=3, **first(count))
        assert found['codes'] == [2], found['output']
        changed = '(epochs, train_dataloader, val_dataloader changed)'
        assert f'epoch_2.pth: the run had other videos than it has now {changed}: ' in found['output']
        assert told in found['output']
        assert 'start a separate run with another --work-dir' in found['output']
    assert {p for p in before if not p.endswith('.log')} <= {p.name for p in run.rglob('*')}
    other = train(tmp_path / 'other', job={'resume': str(begun / 'epoch_2.pth')}, epochs=3, **first(1))
    assert other['codes'] == [2], other['output']


def test_other_labels_are_refused(train: Train, begun: Path, tmp_path: Path) -> None:
    run = shutil.copytree(begun, tmp_path / 'run')
    summary = json.loads((run / 'summary.json').read_text())
    summary['data']['labels'] = '0' * len(summary['data']['labels'])
    (run / 'summary.json').write_text(json.dumps(summary))
    found = train(run, job={'resume': True}, epochs=3, **first(2))
    assert found['codes'] == [2], found['output']
    assert 'epoch_2.pth: the run has seen other data than there are now: labels differ' in found['output']


def test_other_epochs_workers_and_rates_are_no_other_videos(
    train: Train, begun: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(begun, tmp_path / 'run')
    changed = {'epochs': 3, 'lr': 2e-3, 'train_dataloader.num_workers': 1}
    found = train(run, job={'resume': True}, **first(2), **changed)
    assert found['codes'] == [0], found['output']


def test_a_state_that_does_not_tell_its_videos_is_refused(train: Train, begun: Path, tmp_path: Path) -> None:
    run = shutil.copytree(begun, tmp_path / 'run')
    state = load_checkpoint(run / 'epoch_2.pth')
    del state['videos']
    save_checkpoint(state, run / 'epoch_2.pth')
    found = train(run, job={'resume': True}, epochs=3, **first(2))
    assert found['codes'] == [2], found['output']
    assert 'epoch_2.pth: does not say which videos' in found['output']
