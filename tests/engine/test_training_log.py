"""training_logs.csv: the reference's columns, with figures computed independently."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import load_model
from scipy import stats
from tiny_runs import tiny_config, tiny_overrides

from abawfw.apis.build import build_loader
from abawfw.apis.trained_run import predict_together
from abawfw.config.loading import load_config, resolve
from abawfw.evaluation.functional import ccc, pcc_p_value, rmse

COLUMNS = (
    'time,epoch,best_epoch,layer_to_update,lr,tr_loss,val_loss,tr_rmse,tr_pcc_v,tr_pcc_conf,tr_ccc,'
    'val_rmse,val_pcc_v,val_pcc_conf,val_ccc'
)
HOOKS = {'custom_hooks': [{'type': 'ValidationLossHook'}, {'type': 'TrainingLogHook'}]}
STILL = {'lr': 1e-30, 'epochs': 1, 'regressor_dropout': 0.0, 'transformer.dropout': 0.0}


def table(run: Path) -> list[dict[str, str]]:
    with (run / 'training_logs.csv').open() as file:
        return list(csv.DictReader(file))


@given(r=st.floats(-0.99, 0.99), n=st.integers(3, 5000), seed=st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_p_value_is_that_of_scipy(r: float, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = r * x + np.sqrt(1 - r * r) * rng.normal(size=n)
    expected = stats.pearsonr(x, y)
    assert pcc_p_value(expected.statistic, n) == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-300)


def test_p_value_of_almost_nothing() -> None:
    assert pcc_p_value(0.9, 2) == 1.0
    assert pcc_p_value(0.0, 3) == pytest.approx(1.0)
    assert pcc_p_value(1.0, 100) == 0.0


@pytest.mark.parametrize('targets', [['valence', 'arousal'], ['arousal']])
def test_figures(train, tiny_data: Path, tmp_path: Path, targets: list[str]) -> None:
    """Nothing is learnt, so the final weights give the figures of both partitions."""
    options: dict[str, Any] = {**STILL, 'targets': targets}
    before = time.time()
    found = train(tmp_path / 'run', **options, **HOOKS)
    assert found['codes'] == [0], found['output']
    text = (tmp_path / 'run/training_logs.csv').read_text()
    assert text.splitlines()[0] == COLUMNS
    (row,) = table(tmp_path / 'run')
    assert before <= float(row['time']) <= time.time()
    assert (row['epoch'], row['best_epoch'], float(row['lr'])) == ('0', '0', STILL['lr'])
    cfg = resolve(
        load_config(tiny_config('transformer'), tiny_overrides('transformer', tiny_data, **options))
    )
    for short, partition in (('tr', 'train'), ('val', 'val')):
        loader = build_loader(cfg, 'val_dataloader', partition)
        model = load_model(cfg, tmp_path / 'run/epoch_1.pth', loader.dataset.input_dims)
        videos = predict_together([model], loader)[0]
        per_target = []
        for k in range(len(targets)):
            label = np.concatenate([v.label[:, k] for v in videos.values()])
            pred = np.concatenate([v.pred[:, k] for v in videos.values()])
            known = np.isfinite(label)
            correlation = stats.pearsonr(label[known], pred[known])
            per_target.append(
                [rmse(label, pred), correlation.statistic, correlation.pvalue, ccc(label, pred)]
            )
        figures = np.array(per_target)
        names = [f'{short}_{n}' for n in ('rmse', 'pcc_v', 'pcc_conf', 'ccc')]
        expected = figures.mean(axis=0)
        expected[2] = figures[:, 2].max()
        np.testing.assert_allclose([float(row[n]) for n in names], expected, atol=5e-6)
    assert int(row['layer_to_update']) == len(list(model.parameters()))
    # the loss: of each validation batch, weighted by its clips
    loader = build_loader(cfg, 'val_dataloader')
    loader.batch_sampler.set_epoch(0)
    total, clips = 0.0, 0
    with torch.no_grad():
        for batch in loader:
            losses = model(**model.data_preprocessor(batch), mode='loss')
            total += float(sum(losses.values())) * len(batch['data_samples'])
            clips += len(batch['data_samples'])
    assert float(row['val_loss']) == pytest.approx(total / clips, abs=1e-6)


def test_best_epoch_and_metrics_csv_agree(train, tmp_path: Path) -> None:
    run = tmp_path / 'run'
    assert train(run, epochs=5, lr=0.03, **HOOKS)['codes'] == [0]
    rows = table(run)
    scores = [float(r['val_ccc']) for r in rows]
    assert [int(r['best_epoch']) for r in rows] == [int(np.argmax(scores[: i + 1])) for i in range(5)]
    assert [r['epoch'] for r in rows] == list('01234')
    with (run / 'metrics.csv').open() as file:
        for row, record in zip(rows, csv.DictReader(file), strict=True):
            assert row['val_loss'] == record['val_loss']
            assert row['tr_loss'] == record['loss']
            assert row['lr'] == record['lr']
            assert row['val_ccc'] == record['val_ccc']


def test_a_head_that_classifies_has_no_validation_loss(train, tmp_path: Path) -> None:
    run = tmp_path / 'run'
    head = {'model.head.type': 'BinHead', 'losses': [{'type': 'BinnedCrossEntropyLoss'}]}
    found = train(run, epochs=1, **head, **HOOKS)
    assert found['codes'] == [0], found['output']
    (row,) = table(run)
    assert [name for name, cell in row.items() if not cell] == ['val_loss']


@pytest.mark.slow
def test_two_processes_count_every_clip_once(train, tmp_path: Path) -> None:
    one, two = tmp_path / 'one', tmp_path / 'two'
    # one clip in a batch: its loss does not depend on who shares it
    still = {**STILL, 'val_sampler.batch_size': 1}
    assert train(one, **still, **HOOKS)['codes'] == [0]
    found = train(two, job={'processes': 2}, **still, **HOOKS)
    assert found['codes'] == [0, 0], found['output']
    (a,), (b,) = table(one), table(two)
    for name in ('val_loss', 'val_rmse', 'val_pcc_v', 'val_pcc_conf', 'val_ccc', 'tr_rmse', 'tr_ccc'):
        assert float(b[name]) == pytest.approx(float(a[name]), abs=1e-6), name
