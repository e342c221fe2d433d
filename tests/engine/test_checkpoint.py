"""Checkpoint files: whole or not there, read without running code, kept and removed as promised."""

from __future__ import annotations

import csv
import json
import pickle
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from same_run import assert_same_run

from abawfw.checkpoints import (
    DamagedCheckpointError,
    load_checkpoint,
    load_state_dict,
    resumable_checkpoints,
    save_checkpoint,
)
from abawfw.errors import CheckpointError, TrainingError

SMALL: dict[str, Any] = {'meta': {'epoch': 1}, 'state_dict': {'w': torch.arange(300.0)}}


class Harmful:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (self.path,)  # type: ignore[return-value]


def test_round_trip_leaves_nothing_else(tmp_path: Path) -> None:
    save_checkpoint(SMALL, tmp_path / 'a.pth')
    assert torch.equal(load_checkpoint(tmp_path / 'a.pth')['state_dict']['w'], SMALL['state_dict']['w'])
    assert [p.name for p in tmp_path.iterdir()] == ['a.pth']


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'epoch_1.pth'
    save_checkpoint(SMALL, path)
    before = path.read_bytes()

    def full(number: int) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('os.fsync', full)
    with pytest.raises(TrainingError, match=r'No space left on device.*continue with --resume'):
        save_checkpoint({**SMALL, 'more': torch.zeros(5)}, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ['epoch_1.pth']
    path.unlink()
    with pytest.raises(TrainingError, match=r'No training state was saved before: .* begins anew'):
        save_checkpoint(SMALL, path)
    assert not any(tmp_path.iterdir())


def test_every_flipped_bit_is_seen_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / 'a.pth'
    save_checkpoint(SMALL, path)
    content = path.read_bytes()
    rng = random.Random(0)
    seen = 0
    for _ in range(200):
        spoilt = bytearray(content)
        spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
        path.write_bytes(spoilt)
        try:
            found = load_checkpoint(path)
        except DamagedCheckpointError:
            seen += 1
        else:  # the bit was in padding or in a time stamp
            assert torch.equal(found['state_dict']['w'], SMALL['state_dict']['w'])
            assert found['meta'] == SMALL['meta']
    assert seen > 60


@pytest.mark.parametrize('share', [0, 0.01, 0.5, 0.99])
def test_truncated(tmp_path: Path, share: float) -> None:
    path = tmp_path / 'a.pth'
    save_checkpoint(SMALL, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DamagedCheckpointError, match='damaged or half-written'):
        load_checkpoint(path)


@pytest.mark.parametrize('way', ['torch', 'legacy', 'pickle'])
def test_code_is_refused_and_not_run(tmp_path: Path, way: str) -> None:
    path, trace = tmp_path / 'a.pth', tmp_path / 'trace'
    content = {'format': 'abawfw-checkpoint', 'meta': {}, 'state_dict': Harmful(trace)}
    if way == 'pickle':
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=way == 'torch')
    with pytest.raises(CheckpointError, match=r'refused.*could run code.*convert_checkpoint') as caught:
        load_checkpoint(path)
    assert not isinstance(caught.value, DamagedCheckpointError)
    assert not trace.exists()


@pytest.mark.parametrize('content', [{'w': torch.zeros(2)}, {'state_dict': {}, 'meta': {}}, [1, 2]])
def test_checkpoint_of_another_system(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r'not a checkpoint of abawfw.*convert_checkpoint'):
        load_checkpoint(tmp_path / 'a.pth')


def test_checkpoint_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / 'epoch_1.pth'
    torch.save({'format': 'abawfw-checkpoint', 'version': 1, 'meta': {}, 'state_dict': {}}, path)
    with pytest.raises(CheckpointError, match=r'epoch_1\.pth: of version 1, this code reads version 2'):
        load_checkpoint(path)


def test_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No earlier checkpoint would help, so it does not count as damaged."""
    save_checkpoint(SMALL, tmp_path / 'a.pth')

    def none_left(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr('abawfw.tensor_files.torch.empty', none_left)
    with pytest.raises(CheckpointError, match=r'a\.pth: cannot be read: it is larger than') as caught:
        load_checkpoint(tmp_path / 'a.pth')
    assert not isinstance(caught.value, DamagedCheckpointError)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r'a\.pth: no such checkpoint'):
        load_checkpoint(tmp_path / 'a.pth')


def test_another_architecture_names_the_keys() -> None:
    model = torch.nn.ModuleDict({'a': torch.nn.Linear(2, 3), 'b': torch.nn.Linear(3, 1)})
    state = {'a.weight': torch.zeros(3, 4), 'a.bias': torch.zeros(3), 'c.weight': torch.zeros(1)}
    with pytest.raises(CheckpointError) as caught:
        load_state_dict(model, state, Path('old.pth'))
    for part in (
        'old.pth',
        r'missing (2): b.weight, b.bias',
        'unexpected (1): c.weight',
        'a.weight: (3, 4) in the checkpoint, (3, 2) in the model',
    ):
        assert part in str(caught.value)


def test_order_of_training_states(tmp_path: Path) -> None:
    names = [
        'epoch_9.pth',
        'epoch_10.pth',
        'epoch_10_batch_2.pth',
        'epoch_10_batch_11.pth',
        'epoch_0_batch_5.pth',
    ]
    for name in [*names, 'epoch_11.pth.tmp', '.epoch_12.pth.3.tmp', 'best_ccc_epoch_13.pth', 'epoch_x.pth']:
        (tmp_path / name).touch()
    order = [
        'epoch_10_batch_11.pth',
        'epoch_10_batch_2.pth',
        'epoch_10.pth',
        'epoch_9.pth',
        'epoch_0_batch_5.pth',
    ]
    assert [p.name for p in resumable_checkpoints(tmp_path)] == order


# --- whole runs


@pytest.fixture
def finished(original: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    return shutil.copytree(original, tmp_path / 'whole')


def test_what_is_kept(finished: Path) -> None:
    assert {p.name for p in finished.glob('epoch_*')} == {'epoch_2.pth', 'epoch_3.pth'}
    best = json.loads((finished / 'summary.json').read_text())['best']
    assert set(best) == {'ccc', 'ccc_valence', 'ccc_arousal'}
    assert {p.name for p in finished.glob('best_*')} == {b['file'] for b in best.values()}
    with (finished / 'metrics.csv').open() as file:
        rows = list(csv.DictReader(file))
    for key, found in best.items():
        scores = [float(row[f'val_{key}']) for row in rows]
        assert found['epoch'] == 1 + scores.index(max(scores))
        assert found['score'] == pytest.approx(max(scores), rel=1e-7)
        assert load_checkpoint(finished / found['file'])['meta']['epoch'] == found['epoch']


@pytest.mark.parametrize('damage', ['truncate', 'flip'])
def test_newest_damaged(train, finished: Path, tmp_path: Path, damage: str) -> None:
    run = tmp_path / 'run'
    shutil.copytree(finished, run)
    newest = run / 'epoch_3.pth'
    content = bytearray(newest.read_bytes())
    if damage == 'flip':
        weights = next(iter(load_checkpoint(newest)['state_dict'].values()))
        where = content.index(weights.numpy().tobytes())
        content[where] ^= 1
    newest.write_bytes(content if damage == 'flip' else content[:30_000])
    found = train(run, job={'resume': True})
    assert found['codes'] == [0], found['output']
    assert 'trying the one before' in found['output']
    assert f'resumed from {run}/epoch_2.pth' in found['output']
    assert 'renamed to epoch_3.pth.unused' in found['output']
    assert_same_run(finished, run)


def test_all_damaged(train, finished: Path) -> None:
    for path in finished.glob('epoch_*'):
        path.write_bytes(b'PK\x03\x04')
    found = train(finished, job={'resume': True})
    assert found['codes'] == [2]
    assert 'no checkpoint of this run can be read' in found['output']


@pytest.mark.parametrize('name', ['moved', 'damaged of old'])
def test_moved_work_dir(train, finished: Path, tmp_path: Path, name: str) -> None:
    moved = tmp_path / 'elsewhere' / name
    moved.parent.mkdir()
    shutil.copytree(finished, moved)
    (moved / 'epoch_3.pth').unlink()
    finished.rename(tmp_path / 'whole again')
    found = train(moved, job={'resume': True})
    assert found['codes'] == [0], found['output']
    assert_same_run(tmp_path / 'whole again', moved)
    assert not finished.exists()


def test_continuing_in_another_work_dir(train, finished: Path, tmp_path: Path) -> None:
    files = {p.name: p.read_bytes() for p in finished.glob('*.*')}
    found = train(tmp_path / 'b', job={'resume': str(finished / 'epoch_2.pth')}, epochs=5)
    assert found['codes'] == [0], found['output']
    assert {p.name: p.read_bytes() for p in finished.glob('*.*')} == files, (
        'files of the other run were touched'
    )
    best = json.loads((tmp_path / 'b/summary.json').read_text())['best']
    assert {p.name for p in (tmp_path / 'b').glob('best_*')} == {b['file'] for b in best.values()}


def test_best_weights_come_along(train, finished: Path, tmp_path: Path) -> None:
    """With nothing left to train, the new work_dir still has the best of the old one."""
    assert train(tmp_path / 'b', job={'resume': str(finished / 'epoch_3.pth')})['codes'] == [0]
    assert {p.name for p in (tmp_path / 'b').glob('best_*')} == {p.name for p in finished.glob('best_*')}


def test_going_back(train, finished: Path, tmp_path: Path) -> None:
    """Resumed from an earlier state: the later one is set aside, not taken by the next resume."""
    run = tmp_path / 'run'
    shutil.copytree(finished, run)
    found = train(run, job={'resume': str(run / 'epoch_2.pth')})
    assert found['codes'] == [0], found['output']
    assert (run / 'epoch_3.pth.unused').exists()
    assert_same_run(finished, run)


def test_changed_settings_are_told(train, finished: Path) -> None:
    found = train(finished, job={'resume': True}, lr=5e-4)
    assert found['codes'] == [0], found['output']
    assert 'the config differs from the one epoch_3.pth was trained with, in: lr' in found['output']


TWO_SCHEDULES = [
    {'type': 'ConstantThenLinearLR', 'constant_epochs': '${constant_epochs}', 'end': '${epochs}'},
    {'type': 'StepLR', 'step_size': 2},
]


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ({'hidden': 24}, 'belongs to another architecture'),
        ({'features': ['affectnet']}, 'belongs to another architecture'),
        ({'param_scheduler': TWO_SCHEDULES}, 'another optimiser or schedule'),
    ],
)
def test_resume_with_another_config(train, finished: Path, option: dict, message: str) -> None:
    before = (finished / 'summary.json').read_text()
    found = train(finished, job={'resume': True}, **option)
    assert found['codes'] == [2], found['output']
    assert message in found['output']
    assert (finished / 'summary.json').read_text() == before


def test_best_weights_cannot_be_resumed(train, finished: Path, tmp_path: Path) -> None:
    best = next(finished.glob('best_ccc_epoch_*'))
    found = train(tmp_path / 'b', job={'resume': str(best)})
    assert found['codes'] == [2]
    assert 'holds weights only; resume from an epoch_' in found['output']


def test_an_occupied_work_dir(train, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / 'other')
    for job in ({}, {'resume': str(tmp_path / 'other/epoch_2.pth')}):
        found = train(finished, job=job)
        assert found['codes'] == [2]
        assert 'holds a run already' in found['output']


def test_nothing_to_resume_begins(train, tmp_path: Path) -> None:
    found = train(tmp_path / 'run', job={'resume': True}, epochs=1)
    assert found['codes'] == [0], found['output']
    assert 'starting from the beginning' in found['output']


def test_killed_while_writing(train, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / 'run'
    assert train(run, job={'prepare': ['die_while_writing']})['codes'] == [-9]
    assert [p.name for p in run.glob('.epoch_2.pth.*.tmp')]
    assert [p.name for p in run.glob('epoch_*')] == ['epoch_1.pth']
    assert train(run, job={'resume': True})['codes'] == [0]
    assert_same_run(finished, run)


def test_full_disk(train, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / 'run'
    found = train(run, job={'prepare': ['limit_files']})
    assert found['codes'] == [2], found['output']
    assert 'cannot write' in found['output']
    assert 'Traceback' not in found['output']
    assert json.loads((run / 'summary.json').read_text())['status'] == 'failed'
    assert sorted(p.name for p in run.glob('*epoch_[0-9].pth') if p.name.startswith('epoch')) == [
        'epoch_1.pth',
        'epoch_2.pth',
    ]
    assert train(run, job={'resume': True})['codes'] == [0]
    assert_same_run(finished, run)
