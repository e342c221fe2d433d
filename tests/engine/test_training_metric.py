"""Figures of the training pass: the definition of validation, and sums of an older checkpoint."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from abawfw.engine.hooks import TrainingMetricHook
from abawfw.evaluation.functional import ccc, moments, pcc, rmse
from abawfw.structures import VABatch, VAClip

TARGETS = ('valence', 'arousal')


def runner() -> Any:
    model = SimpleNamespace(targets=TARGETS, target_columns=slice(2))
    return SimpleNamespace(
        model=model,
        optim_wrapper=SimpleNamespace(get_lr=lambda: {'lr': [0.1]}),
        train_loop=SimpleNamespace(record={}),
    )


def batches(true: np.ndarray, pred: np.ndarray, size: int) -> list[dict[str, Any]]:
    """Clips of ``size`` frames, one a batch; (frames, targets) each."""
    found = []
    for start in range(0, len(true), size):
        gt, said = (torch.tensor(x[start : start + size]) for x in (true, pred))
        n = len(gt)
        valid = torch.ones(n, dtype=torch.bool)
        batch = VABatch.of([VAClip('v', start, n, len(true), 0, not start, gt, valid, valid[:, None])])
        batch.pred_va = said[None]
        found.append({'data_samples': batch})
    return found


def measured(hook: TrainingMetricHook, data: list[dict[str, Any]], every: int = 1) -> dict[str, float]:
    run = runner()
    hook.before_train(run)
    hook.before_train_epoch(run)
    for i, batch in enumerate(data):
        loss = 0.5 if any(batch['data_samples'].num_frames) else 0.0
        hook.after_train_iter(run, i, batch, {'loss': torch.tensor(loss)})
        if i % every == every - 1:
            hook.read(run)
    hook.read(run)
    hook.after_train_epoch(run)
    return run.train_loop.record


@pytest.mark.parametrize('kind', ['varied', 'constant predictions', 'constant labels', 'nearly constant'])
def test_one_rule_for_constant_data_in_training_and_validation(kind: str) -> None:
    """Also where they vary by less than the square root of 1e-12, which is not constant."""
    rng = np.random.default_rng(0)
    true, pred = rng.uniform(-1, 1, (2, 60, 2))
    true[5:9] = np.nan
    if kind == 'constant predictions':
        pred[:] = 0.3
    elif kind == 'constant labels':
        true[:] = np.where(np.isnan(true), np.nan, 0.7)
    elif kind == 'nearly constant':
        true, pred = 0.5 + 1e-7 * true, 0.5 + 1e-7 * pred
    found = measured(TrainingMetricHook(), batches(true, pred, 7))
    for k, target in enumerate(TARGETS):
        label, said = true[:, k], pred[:, k]
        assert found[f'train_ccc_{target}'] == pytest.approx(ccc(label, said), rel=1e-6, abs=1e-12)
        assert found[f'train_pcc_{target}'] == pytest.approx(pcc(label, said), rel=1e-6, abs=1e-12)
        assert found[f'train_rmse_{target}'] == pytest.approx(rmse(label, said), rel=1e-9)
        assert found[f'train_labels_{target}'] == 56
        if kind.startswith('constant'):
            assert found[f'train_ccc_{target}'] == 0
        if kind == 'nearly constant':
            assert abs(found[f'train_ccc_{target}']) > 1e-3


def test_without_any_label_there_are_zeros() -> None:
    found = measured(TrainingMetricHook(), batches(np.full((10, 2), np.nan), np.zeros((10, 2)), 5))
    assert [found[f'train_{name}_valence'] for name in ('ccc', 'pcc', 'rmse', 'labels')] == [0.0] * 4


def test_fillers_are_no_updates() -> None:
    """They keep ranks in step, and have no loss."""
    true, pred = np.random.default_rng(3).uniform(-1, 1, (2, 20, 2))
    data = batches(true, pred, 5)
    data[-1]['data_samples'].num_frames = [0]
    data[-1]['data_samples'].valid[:] = False
    found = measured(TrainingMetricHook(), data)
    assert (found['loss'], found['frames'], found['useful_share']) == (0.5, 15, 0.75)


def test_a_hook_that_goes_on_in_mid_epoch_measures_the_same() -> None:
    rng = np.random.default_rng(1)
    true, pred = rng.uniform(-1, 1, (2, 60, 2))
    data = batches(true, pred, 7)
    whole = measured(TrainingMetricHook(), data)
    first, second = TrainingMetricHook(), TrainingMetricHook()
    run = runner()
    first.before_train(run)
    first.before_train_epoch(run)
    for i, batch in enumerate(data[:4]):
        first.after_train_iter(run, i, batch, {'loss': torch.tensor(0.5)})
    first.read(run)
    second.load_rank_state(first.rank_state())
    assert {k: v for k, v in measured(second, data[4:]).items() if 'second' not in k} == {
        k: v for k, v in whole.items() if 'second' not in k
    }


def test_sums_of_version_0_1_are_taken_over() -> None:
    """They were sums of values and of products, not taken about the means."""
    rng = np.random.default_rng(2)
    true, pred = rng.uniform(-1, 1, (2, 40, 2))
    sums = [
        [len(t), t.sum(), p.sum(), (t * t).sum(), (p * p).sum(), (t * p).sum()]
        for t, p in zip(true[:25].T, pred[:25].T, strict=True)
    ]
    hook = TrainingMetricHook()
    state = {'sums': torch.tensor(sums, dtype=torch.float64), 'counts': torch.zeros(5, dtype=torch.float64)}
    hook.load_rank_state(state)
    found = measured(hook, batches(true[25:], pred[25:], 7))
    for k, target in enumerate(TARGETS):
        whole = moments(true[:, k], pred[:, k])
        assert found[f'train_ccc_{target}'] == pytest.approx(whole.ccc, abs=1e-12)
        assert found[f'train_rmse_{target}'] == pytest.approx(whole.rmse, abs=1e-12)
