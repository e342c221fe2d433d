"""What hooks do in whole runs: stopping, refusing losses that are no numbers, figures, signals."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import shutil
import signal
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from networks import load_model
from same_run import assert_same_run
from tiny_runs import tiny_config, tiny_overrides

from abawfw import progress
from abawfw.apis.build import build_loader
from abawfw.apis.trained_run import predict_together
from abawfw.config.loading import load_config, resolve
from abawfw.engine.hooks import (
    EpochLogHook,
    InterruptHook,
    TrainingMetricHook,
    interrupt_hook,
    non_finite_loss_hook,
    progress_hook,
)
from abawfw.errors import TrainingError
from abawfw.evaluation.functional import Moments, moments

FLAT = {'lr': 1e-30, 'epochs': 6, 'constant_epochs': 6}  # weights that never change give equal scores


def summary(run: Path) -> dict[str, Any]:
    return json.loads((run / 'summary.json').read_text())


def rows(run: Path) -> list[dict[str, str]]:
    with (run / 'metrics.csv').open() as file:
        return list(csv.DictReader(file))


def same_weights(*runs: Path) -> bool:
    weights = [torch.load(run / 'epoch_3.pth', weights_only=False)['state_dict'] for run in runs]
    return all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def early_stop(**arguments: Any) -> dict[str, Any]:
    return {'custom_hooks': [{'type': 'EarlyStopHook', **arguments}]}


def test_equal_scores_are_no_improvement(train, tmp_path: Path) -> None:
    found = train(tmp_path / 'run', **FLAT, **early_stop(patience=2))
    assert found['codes'] == [0], found['output']
    assert 'for 2 epochs: stopping' in found['output']
    assert summary(tmp_path / 'run')['epochs'] == {'done': 3, 'planned': 6}
    assert summary(tmp_path / 'run')['status'] == 'done'

    # interrupted after the second epoch, it stops after the third as well
    resumed = tmp_path / 'resumed'
    resumed.mkdir()
    for path in [tmp_path / 'run/epoch_2.pth', *(tmp_path / 'run').glob('best_*')]:
        shutil.copy(path, resumed)
    assert train(resumed, job={'resume': True}, **FLAT, **early_stop(patience=2))['codes'] == [0]
    assert_same_run(tmp_path / 'run', resumed)

    # and what has stopped does not go on
    again = train(resumed, job={'resume': True}, **FLAT, **early_stop(patience=2))
    assert again['codes'] == [0], again['output']
    assert 'epoch 4/6' not in again['output']
    assert summary(resumed)['epochs']['done'] == 3
    assert summary(resumed)['status'] == 'done'


def test_patience_counts_from_the_best(train, tmp_path: Path) -> None:
    """Compared with the rule applied to the scores of a run that nothing stops."""
    free = tmp_path / 'free'
    assert train(free, epochs=8, lr=0.03)['codes'] == [0]
    scores = [float(r['val_ccc_arousal']) for r in rows(free)]
    best, since, stop = -2.0, 0, 8
    for epoch, score in enumerate(scores, 1):
        best, since = (score, 0) if score > best else (best, since + 1)
        if since == 1:
            stop = epoch
            break
    assert 1 < stop < 8, 'choose other settings: nothing stops here'
    run = tmp_path / 'run'
    hooks = early_stop(patience=1, monitor='ccc_arousal')
    assert train(run, epochs=8, lr=0.03, **hooks)['codes'] == [0]
    assert summary(run)['epochs']['done'] == stop


def test_wrong_monitor_is_an_error_before_training(train, tmp_path: Path) -> None:
    found = train(tmp_path / 'run', **early_stop(patience=2, monitor='ccc/mean'))
    assert found['codes'] == [2]
    assert "'ccc/mean' is not validated; choose from ccc, ccc_valence, ccc_arousal" in found['output']
    assert 'epoch 1/3' not in found['output']


def test_loss_that_is_no_number(train, tiny_data: Path, tmp_path: Path) -> None:
    run = tmp_path / 'run'
    found = train(run, job={'prepare': ['lose_the_loss']}, **{'default_hooks.checkpoint.batches': 1})
    assert found['codes'] == [2]
    assert 'loss is nan in epoch 1, batch 4' in found['output']
    cfg = resolve(load_config(tiny_config('transformer'), tiny_overrides('transformer', tiny_data)))
    loader = build_loader(cfg, 'train_dataloader')
    loader.batch_sampler.set_epoch(0)
    for request in list(loader.batch_sampler)[3]:
        clip = loader.dataset.clips[request.clip]
        assert f'{loader.dataset.videos[clip.video].video_id} from frame {clip.start}' in found['output']
    assert sorted(p.name for p in run.glob('epoch_*')) == ['epoch_0_batch_2.pth', 'epoch_0_batch_3.pth']
    assert summary(run)['status'] == 'failed'
    assert summary(run)['epochs']['done'] == 0
    # without the cause, it goes on from there
    assert train(run, job={'resume': True}, **{'default_hooks.checkpoint.batches': 1})['codes'] == [0]


def test_a_loss_that_is_read_late_still_names_its_batch_and_is_not_saved(train, tmp_path: Path) -> None:
    job, run = {'prepare': ['lose_the_loss']}, tmp_path / 'run'
    found = train(run, job=job, **{'train_cfg.read_every': 50})
    assert found['codes'] == [2]
    assert 'loss is nan in epoch 1, batch 4' in found['output']
    assert not list(run.glob('*.pth'))
    # a checkpoint in between has it read first
    saving = {'default_hooks.checkpoint.batches': 3, 'train_cfg.read_every': 50}
    assert 'loss is nan in epoch 1, batch 4' in train(tmp_path / 'saving', job=job, **saving)['output']
    assert [p.name for p in (tmp_path / 'saving').glob('*.pth')] == ['epoch_0_batch_3.pth']


def read_a_step(loss: float, norm: float, scaler: Any = None) -> None:
    """The reading of one update, as the hook makes it."""
    norms = [torch.tensor(norm)]
    wrapper = SimpleNamespace(scaler=scaler, gradient_norms=norms)
    runner: Any = SimpleNamespace(epoch=0, work_dir='run', optim_wrapper=wrapper)
    hook, batch = non_finite_loss_hook.NonFiniteLossHook(), SimpleNamespace(video_id=['mine'], start=[0])
    hook.after_train_iter(runner, 3, {'data_samples': batch}, {'loss': torch.tensor(loss)})
    hook.read(runner)


def test_clips_of_the_rank_whose_loss_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient is the mean over the ranks, so it is no number on any of them."""
    theirs = [math.nan, ['theirs from frame 40']]
    monkeypatch.setattr(non_finite_loss_hook, 'all_gather_object', lambda ours: [ours, theirs])
    with pytest.raises(TrainingError) as found:
        read_a_step(0.5, math.nan)
    assert 'loss is nan in epoch 1, batch 4; its clips: theirs from frame 40. Nothing' in str(found.value)
    assert str(found.value).endswith('lower lr')
    theirs[0] = 0.5
    with pytest.raises(TrainingError, match=r'the gradient is .*: mine from frame 0, theirs from frame 40'):
        read_a_step(0.5, math.nan)
    # and only the other rank sees it, in fp16
    monkeypatch.setattr(non_finite_loss_hook, 'get_world_size', lambda: 2)
    monkeypatch.setattr(non_finite_loss_hook, 'all_reduce', lambda first, op: first.fill_(0))
    with pytest.raises(TrainingError, match='batch 4'):
        read_a_step(0.5, 1.0)


def test_a_loss_scale_that_falls_and_falls() -> None:
    def scaler(scale: float) -> Any:
        return SimpleNamespace(get_scale=lambda: scale)

    read_a_step(0.5, math.inf, scaler(1.0))
    read_a_step(0.5, 3.0, scaler(0.5))
    with pytest.raises(TrainingError, match=r'however small.*: mine from frame 0.* or use --amp bf16'):
        read_a_step(0.5, math.inf, scaler(0.5))


def test_ranks_agree_to_stop_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now, agreements, pace = [100.0], list[float](), 2.0
    monkeypatch.setattr(interrupt_hook, 'get_world_size', lambda: 2)
    monkeypatch.setattr(interrupt_hook, 'all_reduce', lambda ranks, op: agreements.append(now[0]))
    monkeypatch.setattr(interrupt_hook.time, 'monotonic', lambda: now[0])
    hook, runner = InterruptHook(), SimpleNamespace(train_loop=SimpleNamespace(at_reading=False))
    for _ in range(20):
        now[0] += pace
        hook.after_iter(runner)
    pauses = [b - a for a, b in pairwise(agreements)]
    assert pauses[:1] == [pace]
    assert set(pauses[1:]) == {4.0}  # batches of 2 seconds, at most 5


def test_hooks_that_only_report_can_be_removed(train, original: Path, tmp_path: Path) -> None:
    removed = ('progress', 'log', 'non_finite_loss', 'interrupt')
    run = tmp_path / 'run'
    found = train(run, **{f'default_hooks.{name}': None for name in removed})
    assert found['codes'] == [0], found['output']
    assert same_weights(run, original)


def test_how_often_the_device_is_read_changes_nothing(train, original: Path, tmp_path: Path) -> None:
    run = tmp_path / 'run'
    assert train(run, **{'train_cfg.read_every': 4})['codes'] == [0]
    keep = [[{k: v for k, v in r.items() if 'second' not in k} for r in rows(x)] for x in (original, run)]
    assert keep[0] == keep[1]
    assert same_weights(run, original)


@pytest.mark.parametrize('model', ['transformer', 'fclstm_xl'])
def test_training_figures(train, tiny_data: Path, tmp_path: Path, model: str) -> None:
    """Without dropout and learning, predictions of the training pass are those of the final weights."""
    still = {'lr': 1e-30, 'epochs': 1, 'regressor_dropout': 0.0, 'model.context.0.dropout': 0.0}
    if model.startswith('transformer'):
        still['transformer.dropout'] = still.pop('model.context.0.dropout')
    found = train(tmp_path / 'run', model, **still)
    assert found['codes'] == [0], found['output']
    cfg = resolve(load_config(tiny_config(model), tiny_overrides(model, tiny_data, **still)))
    loader = build_loader(cfg, 'val_dataloader', 'train')
    videos = predict_together(
        [load_model(cfg, tmp_path / 'run/epoch_1.pth', loader.dataset.input_dims)], loader
    )[0]
    (row,) = rows(tmp_path / 'run')
    for k, target in enumerate(('valence', 'arousal')):
        expected = Moments.pool(moments(v.label[:, k], v.pred[:, k]) for v in videos.values())
        for measure in ('ccc', 'pcc', 'rmse'):
            found = float(row[f'train_{measure}_{target}'])
            assert found == pytest.approx(getattr(expected, measure), abs=2e-6)
        assert float(row[f'train_labels_{target}']) == expected.n
    frames = sum(len(v.pred) for v in videos.values())
    assert float(row['frames']) == frames
    assert 0.5 < float(row['useful_share']) <= 1
    speed = frames / float(row['train_seconds'])
    assert float(row['frames_per_second']) == pytest.approx(speed, rel=1e-5)


def test_columns_and_output(train, tmp_path: Path) -> None:
    found = train(tmp_path / 'run', epochs=2)
    assert found['codes'] == [0]
    rows_of_log = re.findall(r'^\d\d/\d\d [\d:]{8} (epoch \d/\d)  ', found['output'], re.MULTILINE)
    assert rows_of_log == ['epoch 1/2', 'epoch 2/2']
    first, second = rows(tmp_path / 'run')
    assert list(first) == list(second)
    assert [r['epoch'] for r in (first, second)] == ['1', '2']
    targets = ('valence', 'arousal')
    head = [
        'epoch',
        'lr',
        'loss',
        *(f'train_{k}_{t}' for k in ('ccc', 'pcc', 'rmse', 'labels') for t in targets),
    ]
    assert list(first)[: len(head) + 2] == [*head, 'frames', 'useful_share']
    for measure in ('ccc', 'pcc', 'rmse'):
        for target in ('valence', 'arousal'):
            for stage in ('', '_clipped', '_smoothed'):
                assert f'val_{measure}_{target}{stage}' in first
    mean = (float(first['val_ccc_valence']) + float(first['val_ccc_arousal'])) / 2
    assert float(first['val_ccc']) == pytest.approx(mean, abs=1e-7)
    found = summary(tmp_path / 'run')
    assert found['status'] == 'done'
    assert found['seconds'] == pytest.approx(
        sum(float(r['train_seconds']) + float(r['val_seconds']) for r in (first, second)), abs=2e-3
    )
    assert found['frames_per_second'] == pytest.approx(float(second['frames_per_second']), rel=1e-6)


def test_seconds_add_up_over_a_resume(train, tmp_path: Path) -> None:
    run = tmp_path / 'run'
    assert train(run, epochs=2)['codes'] == [0]
    before = summary(run)['seconds']
    (run / 'epoch_2.pth').unlink()
    first = rows(run)[0]
    assert train(run, job={'resume': True}, epochs=2)['codes'] == [0]
    second = rows(run)[1]
    assert rows(run)[0] == first
    expected = sum(float(r['train_seconds']) + float(r['val_seconds']) for r in (first, second))
    assert summary(run)['seconds'] == pytest.approx(expected, abs=2e-3)
    assert before > 0


@pytest.mark.parametrize(('number', 'workers'), [(signal.SIGINT, 2), (signal.SIGTERM, 0)])
def test_a_signal_leaves_a_state_that_resumes(
    train, original: Path, tmp_path: Path, number: int, workers: int
) -> None:
    options = {'train_dataloader.num_workers': workers}
    options |= {'train_dataloader.loading.type': 'Stream' if workers else 'Resident'}
    run = tmp_path / 'run of mine'
    found = train(run, job={'signals': [number]}, **options)
    assert found['codes'] == [130], found['output']
    assert found['output'].count('stopping after this batch') == 1
    assert 'interrupted after epoch 0, batch 1; saved epoch_0_batch_1.pth' in found['output']
    command = f"python tools/train.py '{run}/config.py' --work-dir '{run}' --resume"
    assert found['output'].endswith(f'Continue with:\n  {command}\n')
    assert summary(run)['status'] == 'interrupted'
    assert train(run, job={'resume': True}, **options)['codes'] == [0]
    assert_same_run(original, run)


def test_a_second_signal_stops_at_once(train, tmp_path: Path) -> None:
    job = {'signals': [signal.SIGINT, signal.SIGINT]}
    found = train(tmp_path / 'run', job=job)
    assert found['codes'] == [130], found['output']
    assert 'Traceback' not in found['output']
    assert not list((tmp_path / 'run').glob('epoch_*'))
    end = 'interrupted before the first training state was saved; the same command begins anew\n'
    assert found['output'].endswith(end)
    assert summary(tmp_path / 'run')['status'] == 'interrupted'

    job['signals'] = [signal.SIGINT, signal.SIGTERM]
    found = train(tmp_path / 'terminated', job=job)
    assert found['codes'] == [-signal.SIGTERM], found['output']


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    hook = InterruptHook()
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        hook.before_train(SimpleNamespace(rank=0))
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) != usual[signal.SIGTERM]
        os.kill(os.getpid(), signal.SIGINT)
        assert not hook.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert hook.requested
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == usual[signal.SIGTERM]
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)


def test_status_while_running(train, tmp_path: Path) -> None:
    job = {'signals': [signal.SIGKILL]}
    assert train(tmp_path / 'run', job=job)['codes'] == [-signal.SIGKILL]
    assert summary(tmp_path / 'run')['status'] == 'running'


class FakeRunner(SimpleNamespace):
    """As much of a runner as the progress of an epoch needs: two of three epochs done, 4 batches each."""

    def __init__(self) -> None:
        metric = TrainingMetricHook()
        metric.counts = torch.tensor([2.0, 1.5, 0, 0, 0])  # two updates whose losses add up to 1.5
        lines: list[str] = []
        super().__init__(
            rank=0, epoch=1, max_epochs=3, hooks=[metric], lines=lines,
            train_loop=SimpleNamespace(batch=0, val_seconds=6.0),
            train_dataloader=SimpleNamespace(batch_sampler=range(4)),
            val_dataloader=SimpleNamespace(batch_sampler=range(2)),
            logger=SimpleNamespace(info=lines.append),
        )  # fmt: skip


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time as the test says."""
    clock = SimpleNamespace(now=100.0)
    for module in (progress_hook, progress):
        monkeypatch.setattr(module, 'time', SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def screen_of(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> io.StringIO:
    screen = io.StringIO()
    monkeypatch.setattr(screen, 'isatty', lambda: terminal)
    monkeypatch.setattr(sys, 'stderr', screen)
    for name, value in (('TERM', 'xterm'), ('COLUMNS', '120')):
        monkeypatch.setenv(name, value)
    return screen


BATCH = {'data_samples': SimpleNamespace(num_frames=[500, 100])}
# after 2 of 4 batches in 20 s: 20 s of the epoch are left, 40 s of the next, and 6 s of validation after each
STATE = 'loss 0.750  60 frames/s  left 0:20, run 1:12'


def test_into_a_pipe_a_line_a_minute(monkeypatch, clock: SimpleNamespace) -> None:
    screen, runner = screen_of(monkeypatch, False), FakeRunner()
    hook = progress_hook.ProgressHook(every=15)
    hook.before_train_epoch(runner)
    for batch in range(2):
        clock.now += 10
        hook.after_train_iter(runner, batch, BATCH, {})
    assert runner.lines == [f'epoch 2/3, batch 2/4  {STATE}']
    clock.now += 10
    hook.after_train_iter(runner, 2, BATCH, {})
    assert len(runner.lines) == 1
    assert screen.getvalue() == ''


def test_on_a_terminal_a_bar_with_loss_and_time_left(monkeypatch, clock: SimpleNamespace) -> None:
    screen, runner = screen_of(monkeypatch, True), FakeRunner()
    hook = progress_hook.ProgressHook(every=0)
    hook.before_train_epoch(runner)
    for batch in range(2):
        clock.now += 10
        hook.after_train_iter(runner, batch, BATCH, {})
    assert 'epoch 2/3' in screen.getvalue()
    assert f'2/4 {STATE}' in re.sub(r'\x1b\[[\d;?]*[a-zA-Z]', '', screen.getvalue())
    hook.after_train_epoch(runner)
    hook.before_val_epoch(runner)
    hook.after_val_iter(runner, 0)
    assert 'validating' in screen.getvalue()
    hook.after_val_epoch(runner)
    assert (
        screen.getvalue().count('\x1b[?25l') == screen.getvalue().count('\x1b[?25h') == 2
    )  # cursor: both are gone
    assert runner.lines == []


def test_other_ranks_show_nothing(monkeypatch) -> None:
    screen, runner = screen_of(monkeypatch, True), FakeRunner()
    runner.rank = 1
    hook = progress_hook.ProgressHook(every=0)
    hook.before_train_epoch(runner)
    hook.after_train_iter(runner, 0, BATCH, {})
    hook.before_val_epoch(runner)
    assert (screen.getvalue(), runner.lines) == ('', [])


def test_the_progress_bar_leaves_the_terminal_whole_when_a_run_ends_early(monkeypatch) -> None:
    screen, runner = screen_of(monkeypatch, True), FakeRunner()
    hook = progress_hook.ProgressHook()
    hook.before_train_epoch(runner)
    assert screen.getvalue().count('\x1b[?25l') == 1  # the cursor is hidden
    hook.after_stop(runner, status='interrupted')
    assert screen.getvalue().count('\x1b[?25h') == 1  # and shown again


def test_a_tracker_that_fails_does_not_end_the_run(tmp_path: Path) -> None:
    calls, lines = [], []

    def fails(*args: Any, **options: Any) -> None:
        calls.append(args)
        raise ConnectionError('the server is gone\nand more')

    record = {
        'epoch': 1.0,
        'loss': 0.5,
        'train_ccc_valence': 0.1,
        'val_ccc_valence': 0.2,
        'train_seconds': 2.0,
    }
    runner = SimpleNamespace(
        rank=0, epoch=1, max_epochs=2, work_dir=str(tmp_path), train_loop=SimpleNamespace(record=record),
        visualizer=SimpleNamespace(add_scalars=fails, close=fails),
        logger=SimpleNamespace(info=lambda text: None, warning=lines.append),
    )  # fmt: skip
    hook = EpochLogHook()
    for _ in range(2):
        hook.after_epoch(runner)
    hook.after_run(runner)
    assert len(calls) == 1
    assert lines == [
        'the tracker failed and is no longer used (ConnectionError: the server is gone); every figure is in '
        f'{tmp_path}/metrics.csv'
    ]
    assert len(rows(tmp_path)) == 2


@pytest.mark.parametrize('value', ['text', None, [1, 2], torch.zeros(2)])
def test_a_column_that_is_no_number_is_named(tmp_path: Path, value: Any) -> None:
    runner = SimpleNamespace(rank=0, train_loop=SimpleNamespace(record={'epoch': 1.0, 'mine': value}))
    with pytest.raises(TrainingError, match=r"the column 'mine' of metrics\.csv takes one number per epoch"):
        EpochLogHook().after_epoch(runner)
