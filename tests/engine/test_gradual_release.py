"""Plateau, reload of the best weights, gradual release and early stop in one run, and across resumes."""

from __future__ import annotations

import csv
import json
import math
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from networks import load_model
from same_run import assert_same_run, differences

from abawfw.apis.build import build_loader
from abawfw.apis.train import train as train_here
from abawfw.apis.trained_run import predict_together
from abawfw.checkpoints import load_checkpoint
from abawfw.config.loading import load_config, resolve
from abawfw.errors import AbawfwError
from abawfw.evaluation.functional import ccc

CONFIG = Path(__file__).parent / 'configs/two_stages.py'
BATCHES = 8  # of an epoch on the tiny data
TWO = {'processes': 2}
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope='module')
def staged(train, tiny_data: Path) -> Run:
    """Train the two-stage config: staged(work_dir, job={...}, **overrides)."""

    def run(work_dir: Path, job: dict[str, Any] | None = None, **overrides: Any) -> dict[str, Any]:
        options = {'data_root': str(tiny_data), **overrides}
        return train(work_dir, job={'config': str(CONFIG), 'overrides': options, **(job or {})})

    return run


class Timed(NamedTuple):
    """An uninterrupted run, and its CPU seconds: of its start alone, and in all."""

    run: Path
    startup: float
    all: float


def timed_run(staged: Run, run: Path, job: dict[str, Any]) -> Timed:
    found = staged(run, job)
    assert set(found['codes']) == {0}, found['output']
    # the whole run once more does nothing but start: what lies between is the training
    copy = shutil.copytree(run, run.with_name('copy'))
    return Timed(run, staged(copy, {**job, 'resume': True})['cpu_seconds'], found['cpu_seconds'])


@pytest.fixture(scope='module')
def timed(staged: Run, tmp_path_factory: pytest.TempPathFactory) -> Timed:
    return timed_run(staged, tmp_path_factory.mktemp('whole') / 'run', {})


@pytest.fixture(scope='module')
def whole(timed: Timed) -> Path:
    """An uninterrupted run."""
    return timed.run


@pytest.fixture(scope='module')
def timed_two(staged: Run, tmp_path_factory: pytest.TempPathFactory) -> Timed:
    """The same of two processes."""
    return timed_run(staged, tmp_path_factory.mktemp('two') / 'run', TWO)


def killed_often(
    staged: Run, run: Path, job: dict[str, Any], timed: Timed, kills: int, every: int = 1
) -> None:
    """Train in run, killed so often (less if it ends before) at random moments and resumed."""
    codes = [0] * job.get('processes', 1)
    options = {'default_hooks.checkpoint.batches': every}
    rng, killed = random.Random(every), 0
    while True:
        # anywhere from before the first file is written to some batches after the resume
        latest = timed.startup + 0.25 * (timed.all - timed.startup)
        delay = rng.uniform(0.7 * timed.startup, latest) if killed < kills else None
        found = staged(run, {**job, 'resume': True, 'kill_after': delay}, **options)
        if found['codes'] == codes:
            break
        assert found['codes'] == [code - 9 for code in codes], found['output']
        killed += 1
    assert 2 * killed >= kills  # a run that was quick may end before a kill


@pytest.fixture(scope='module')
def states(staged: Run, whole: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Folders of runs that ended earlier: after the first epoch, about the release, before the last epoch."""
    _, stages = story([row['val_ccc'] for row in log(whole)])
    release = stages.index(2)
    place = tmp_path_factory.mktemp('states')
    folders = {e: place / str(e) for e in (1, release, release + 1, len(stages) - 1)}
    for epoch, folder in folders.items():
        found = staged(folder, epochs=epoch)
        assert found['codes'] == [0], found['output']
    return folders


def log(run: Path) -> list[dict[str, float]]:
    with (run / 'training_logs.csv').open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def story(scores: list[float], warmup: int = 1, patience: int = 0) -> tuple[list[float], list[int]]:
    """Rate and stage of each epoch as the rules say, until training ends; lr 0.01, min_lr 2e-3."""
    best, since, lr, age, stage = -math.inf, 0, 0.01, 0, 1
    rates, stages = [], []
    for score in scores:
        rates.append(lr)
        stages.append(stage)
        age += 1
        if score > best:
            best, since = score, 0
        elif age > warmup:
            since += 1
        if since > patience:
            lr, since = lr * 0.1, 0
        if lr < 2e-3:
            stage, lr, since, age = stage + 1, 0.01, 0, 0
        if stage == 3:
            break
    return rates, stages


def assert_same(whole: Path, run: Path) -> None:
    assert_same_run(whole, run)
    assert [{**r, 'time': 0} for r in log(run)] == [{**r, 'time': 0} for r in log(whole)]


def test_the_run_keeps_to_the_rules(whole: Path) -> None:
    rows = log(whole)
    rates, stages = story([row['val_ccc'] for row in rows])
    assert len(rows) == len(rates) < 12, 'the run must end by itself: choose other settings'
    assert stages[0] == 1
    assert stages[-1] == 2
    assert [row['lr'] for row in rows] == pytest.approx(rates)
    # the head's six tensors and those of one or two linear layers
    assert [row['layer_to_update'] for row in rows] == [8 if stage == 1 else 10 for stage in stages]
    assert json.loads((whole / 'summary.json').read_text())['status'] == 'done'


def test_each_epoch_starts_from_the_best(staged: Run, whole: Path, states: dict[int, Path]) -> None:
    rows = log(whole)
    worse = 0
    for epoch, run in states.items():
        best = 1 + int(rows[epoch - 1]['best_epoch'])
        worse += best != epoch
        state = load_checkpoint(run / f'epoch_{epoch}.pth')
        weights = load_checkpoint(run / f'best_ccc_epoch_{best}.pth')['state_dict']
        assert not differences(state['state_dict'], weights)
    assert worse, 'every epoch is better than the one before: choose other settings'


def test_what_a_release_changes(whole: Path, states: dict[int, Path]) -> None:
    _, stages = story([row['val_ccc'] for row in log(whole)])
    release = stages.index(2)  # epochs before it
    before, after = (load_checkpoint(states[e] / f'epoch_{e}.pth') for e in (release, release + 1))
    first = load_checkpoint(states[1] / 'epoch_1.pth')
    assert before['released'] == ['context.1.linear', 'context.0']
    assert first['released'] == ['context.1.linear']
    key = 'context.0.linear.weight'
    assert torch.equal(first['state_dict'][key], before['state_dict'][key])
    moved = load_checkpoint(whole / f'epoch_{len(stages)}.pth')['state_dict'][key]
    assert not torch.equal(moved, before['state_dict'][key])
    assert not torch.equal(*(state['state_dict']['context.1.linear.weight'] for state in (first, before))), (
        'the first stage is trained before'
    )
    # a new optimiser: nothing at the release, one epoch of updates after the next epoch
    assert before['optimizer']['state'] == {}
    assert {int(s['step']) for s in after['optimizer']['state'].values()} == {BATCHES}
    assert {int(s['step']) for s in first['optimizer']['state'].values()} == {BATCHES}
    # all parameters were in their groups from the start
    assert [len(g['params']) for g in first['optimizer']['param_groups']] == [2, 2, 6]
    assert before['hooks']['EarlyStopHook']['epochs'] == 0
    assert before['hooks']['EarlyStopHook']['waited'] == 0
    best = max(row['val_ccc'] for row in log(states[release]))
    assert before['hooks']['EarlyStopHook']['best'] == pytest.approx(best, rel=1e-7)


def test_resumed_before_at_and_after_the_release(
    staged: Run, whole: Path, states: dict[int, Path], tmp_path: Path
) -> None:
    for epoch, folder in states.items():
        run = shutil.copytree(folder, tmp_path / str(epoch))
        found = staged(run, {'resume': True})
        assert found['codes'] == [0], found['output']
        assert f'resumed from {run}/epoch_{epoch}.pth' in found['output']
        assert_same(whole, run)


def test_what_has_ended_does_not_go_on(staged: Run, whole: Path, tmp_path: Path) -> None:
    run = shutil.copytree(whole, tmp_path / 'run')
    found = staged(run, {'resume': True}, epochs=30)
    assert found['codes'] == [0], found['output']
    assert re.search(r'epoch \d+/\d+ ', found['output']) is None
    assert len(log(run)) == len(log(whole))


@pytest.mark.parametrize(('every', 'kills'), [(1, 6), (3, 4)])
def test_killed_at_random_moments(staged: Run, timed: Timed, tmp_path: Path, every: int, kills: int) -> None:
    killed_often(staged, tmp_path / 'killed', {}, timed, kills, every)
    assert_same(timed.run, tmp_path / 'killed')


def test_without_reload_the_last_weights_go_on(staged: Run, tmp_path: Path) -> None:
    run = tmp_path / 'run'
    hooks = [{'type': 'ValidationLossHook'}, {'type': 'TrainingLogHook'}]
    found = staged(run, custom_hooks=hooks, epochs=9, lr=0.05)
    assert found['codes'] == [0], found['output']
    rows = log(run)
    best = 1 + int(rows[-1]['best_epoch'])
    assert best < 9, 'the last epoch is the best: choose other settings'
    weights = load_checkpoint(run / f'best_ccc_epoch_{best}.pth')['state_dict']
    assert differences(load_checkpoint(run / 'epoch_9.pth')['state_dict'], weights)


def test_best_of_another_score(staged: Run, tmp_path: Path) -> None:
    hooks = [
        {'type': 'ReloadBestHook', 'monitor': 'ccc_arousal'},
        {'type': 'GradualReleaseHook', 'stages': [['context']], 'monitor': 'ccc_arousal'},
    ]
    run = tmp_path / 'run'
    found = staged(run, epochs=4, custom_hooks=hooks, **{'param_scheduler.0.monitor': 'ccc_arousal'})
    assert found['codes'] == [0], found['output']
    (best,) = run.glob('best_ccc_arousal_epoch_*')
    state = load_checkpoint(run / 'epoch_4.pth')
    assert not differences(state['state_dict'], load_checkpoint(best)['state_dict'])


# --- mistakes, told before training


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            {'custom_hooks.1.stages': [['context.1.linear'], ['contxt.0', 'head']]},
            "stage 2: 'contxt.0' is no part of the model with parameters: did you mean 'context.0'?\n"
            "    GradualReleaseHook, stage 2: 'head' is not frozen, so it is trained from the start",
        ),
        (
            {'custom_hooks.1.stages': [['context.1.dropout']]},
            "'context.1.dropout' is no part of the model with parameters",
        ),
        (
            {'custom_hooks.1.stages': ['context.1']},
            "custom_hooks[1].stages[0]: must be a list, not 'context.1'",
        ),
        ({'custom_hooks.1.stages': []}, 'custom_hooks[1].stages: must be a list of at least 1, not []'),
        ({'param_scheduler': [{'type': 'StepLR', 'step_size': 2}]}, 'needs param_scheduler='),
        ({'param_scheduler.0.monitor': 'ccc/mean'}, "WarmupPlateauLR.monitor 'ccc/mean' is not validated"),
        ({'custom_hooks.0.monitor': 'loss'}, "ReloadBestHook.monitor 'loss' is not validated"),
        ({'custom_hooks.1.monitor': 'loss'}, "GradualReleaseHook.monitor 'loss' is not validated"),
        ({'targets': ['arousal'], 'custom_hooks.0.monitor': 'ccc_valence'}, 'choose from ccc, ccc_arousal'),
        ({'default_hooks.checkpoint': None}, 'a run needs VACheckpointHook'),
        ({'default_hooks.param_scheduler': None}, 'a run needs ParamSchedulerHook'),
        (
            {'default_hooks.param_scheduler.type': 'mmengine.ParamSchedulerHook'},
            'a run needs ParamSchedulerHook',
        ),
        (
            {'param_scheduler': [{'type': 'WarmupPlateauLR'}, {'type': 'StepLR', 'step_size': 2}]},
            'it must be the only one in param_scheduler',
        ),
    ],
)
def test_mistakes_are_told_before_training(
    tiny_data: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(AbawfwError) as told:
        train_here(load_config(CONFIG, {'data_root': str(tiny_data), **options}), tmp_path / 'run')
    assert message in str(told.value)
    assert not (tmp_path / 'run/metrics.csv').exists()


def test_a_single_target_with_the_default_monitor(staged: Run, tmp_path: Path) -> None:
    found = staged(tmp_path / 'run', targets=['arousal'], epochs=2)
    assert found['codes'] == [0], found['output']


def test_state_of_another_schedule_is_refused(staged: Run, states: dict[int, Path], tmp_path: Path) -> None:
    run = shutil.copytree(states[1], tmp_path / 'run')
    step = {'param_scheduler': [{'type': 'StepLR', 'step_size': 2}], 'custom_hooks': []}
    found = staged(run, {'resume': True}, **step)
    assert found['codes'] == [2], found['output']


# --- several processes


@pytest.mark.slow
def test_two_processes_release_together(staged: Run, tiny_data: Path, tmp_path: Path) -> None:
    """Parts released later are averaged over the ranks as well, and so are running statistics.

    Without ReloadBestHook, which would give both ranks the same weights after each epoch.
    """
    run = tmp_path / 'run'
    stages = [['context.1.linear'], ['context.0']]
    hooks = [
        {'type': 'GradualReleaseHook', 'stages': stages, 'min_lr': 2e-3},
        {'type': 'ValidationLossHook'},
        {'type': 'TrainingLogHook'},
    ]
    found = staged(run, {**TWO, 'prepare': ['keep_weights_of_each_rank']}, custom_hooks=hooks, epochs=20)
    assert found['codes'] == [0, 0], found['output']
    rows = log(run)
    rates, stages_of = story([row['val_ccc'] for row in rows])
    assert [row['lr'] for row in rows] == pytest.approx(rates)
    assert stages_of[-1] == 2
    assert rows[-1]['best_epoch'] < len(rows) - 1, 'the last epoch is the best: choose other settings'
    weights = [torch.load(run / f'rank{rank}.pt') for rank in (0, 1)]
    assert 'head.hidden.0.norm.running_mean' in weights[0]
    assert not differences(*weights)
    # both ranks have validated the model that is saved
    cfg = resolve(load_config(CONFIG, {'data_root': str(tiny_data)}))
    loader = build_loader(cfg, 'val_dataloader')
    model = load_model(cfg, run / f'epoch_{len(rows)}.pth', loader.dataset.input_dims)
    videos = predict_together([model], loader)[0]
    label, pred = (np.concatenate([getattr(v, n) for v in videos.values()]) for n in ('label', 'pred'))
    alone = [ccc(label[:, k], pred[:, k]) for k in (0, 1)]
    assert rows[-1]['val_ccc'] == pytest.approx(sum(alone) / 2, abs=1e-6)


@pytest.mark.slow
def test_two_processes_killed_and_resumed(staged: Run, timed_two: Timed, tmp_path: Path) -> None:
    killed_often(staged, tmp_path / 'killed', TWO, timed_two, 4)
    assert_same(timed_two.run, tmp_path / 'killed')


@pytest.mark.slow
def test_two_processes_whose_best_weights_are_gone(staged: Run, timed_two: Timed, tmp_path: Path) -> None:
    """Both ranks must know of it, or they wait for each other for ever."""
    scores = [row['val_ccc'] for row in log(timed_two.run)]
    worse = next(e for e in range(1, len(scores)) if scores[e] < max(scores[:e]))  # epochs before this one
    run = tmp_path / 'run'
    assert staged(run, TWO, epochs=worse)['codes'] == [0, 0]
    for path in run.glob('best_*'):
        path.unlink()
    found = staged(run, {**TWO, 'resume': True}, epochs=worse + 1)
    assert found['codes'] == [0, 0], found['output']
    assert 'is gone: the next epoch counts as best' in found['output']
    best = json.loads((run / 'summary.json').read_text())['best']
    assert best['ccc']['epoch'] == worse + 1
    assert {p.name for p in run.glob('best_*')} == {b['file'] for b in best.values()}
