"""What would reverse a training, or end it, is found before it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import ROOT
from mmengine.hooks import Hook
from mmengine.optim import LinearLR
from mmengine.registry import DefaultScope

from abawfw.apis.check import check_config
from abawfw.apis.check_optimisation import built_wrapper
from abawfw.apis.train import train
from abawfw.config.loading import load_config
from abawfw.datasets.demo.rucaim3 import make_demo_data
from abawfw.engine.monitor import check_measured
from abawfw.errors import ConfigError
from abawfw.evaluation.va_metric import AssembledVideo, VAMetric
from abawfw.registry import ENCODERS, HOOKS, METRICS, OPTIMIZERS, PARAM_SCHEDULERS

CONFIG = ROOT / 'configs/rucaim3/transformer_demo.py'


@pytest.fixture(scope='module')
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('demo') / 'store'
    make_demo_data(root, videos=(2, 2, 1), scale=0.02)
    return root


def plain_constructor(**paramwise: Any) -> dict[str, Any]:
    wrapper = {'type': 'VAOptimWrapper', 'optimizer': {'type': 'Adam', 'lr': 1e-3, 'weight_decay': 0.1}}
    return {'optim_wrapper': {**wrapper, 'paramwise_cfg': paramwise}}


def optimizer(**values: Any) -> dict[str, Any]:
    return {'optim_wrapper.optimizer': {'lr': 1e-3, **values}}


def schedule(**values: Any) -> dict[str, Any]:
    return {'param_scheduler': [values]}


PRUNING = {'type': 'PruningHook', 'study': 'study.log', 'trial': 0, 'pruner': 'median'}


@pytest.mark.parametrize(
    ('overrides', 'problem'),
    [
        (optimizer(type='Adam', maximize=True), 'optim_wrapper.optimizer.maximize: must be False, not True'),
        (optimizer(type='SGD', momentum=5), 'optim_wrapper.optimizer.momentum: must be below 1, not 5'),
        (optimizer(type='SGD', momentum=0.9, dampening=2), 'optimizer.dampening: must be below 1, not 2'),
        (optimizer(type='RMSprop', alpha=5), 'optim_wrapper.optimizer.alpha: must be 1 or less, not 5'),
        (
            {'optim_wrapper.paramwise_cfg': {'head': {'maximize': True}}},
            'optim_wrapper.paramwise_cfg.head.maximize: must be False, not True',
        ),
        (
            plain_constructor(custom_keys={'context': {'lr_mult': -1}}),
            'optim_wrapper.paramwise_cfg.custom_keys.context.lr_mult: must be 0 or more, not -1',
        ),
        (plain_constructor(bias_lr_mult=-2), 'paramwise_cfg.bias_lr_mult: must be 0 or more, not -2'),
        (plain_constructor(bias_lr_mul=2), "bias_lr_mul: there is no such setting: did you mean 'bias_lr_m"),
        (
            schedule(type='CosineAnnealingLR', T_max=2, eta_min=-0.01),
            'param_scheduler[0].eta_min: must be 0 or more, not -0.01',
        ),
        (schedule(type='OneCycleLR', eta_max=-1, total_steps=9), 'eta_max: must be above 0, not -1'),
        (schedule(type='CosineAnnealingLR', eta_min_ratio=-3), 'eta_min_ratio: must be 0 or more, not -3'),
        (
            schedule(type='CosineRestartLR', periods=[1, 1], restart_weights=[-1, -1], eta_min=0),
            'param_scheduler[0].restart_weights[0]: must be 0 or more, not -1',
        ),
        (schedule(type='ReduceOnPlateauLR', monitor='ccc', factor=-1), 'factor: must be above 0, not -1'),
        # what no range of a key shows, only what is built
        (
            plain_constructor(custom_keys={'context': {'maximize': True}}),
            'optim_wrapper: context.0.',
        ),
        (plain_constructor(custom_keys={'head': {'lr': -1.0}}), 'with lr=-1.0: must be 0 or more'),
        (optimizer(type='torch.optim.SparseAdam'), 'SparseAdam takes sparse gradients only'),
        (schedule(type='LinearLR', start_factor=0), 'start_factor: must be above 0, not 0'),
        ({'model.frozen': ['fusion', 'context', 'head']}, 'model.frozen: names all parts that have'),
        (
            {'optim_wrapper.paramwise_cfg': {'context': {'lr': 0}, 'head': {'lr': 0}}},
            'optim_wrapper: every part that is not frozen has lr=0: nothing would learn',
        ),
        (
            schedule(type='ReduceOnPlateauLR', monitor='x', patience=0),
            "param_scheduler[0]: ReduceOnPlateauLR.monitor 'x' is not validated; choose from ccc, ccc_val",
        ),
        (
            schedule(type='ReduceOnPlateauLR', monitor='ccc'),
            "ReduceOnPlateauLR: ccc is better where it is greater: rule='greater'",
        ),
        (
            {'custom_hooks': [{'type': 'EarlyStoppingHook', 'monitor': 'y', 'rule': 'less'}]},
            "custom_hooks[0]: EarlyStoppingHook.monitor 'y' is not validated",
        ),
        (
            {'custom_hooks': [{**PRUNING, 'monitor': 'loss'}]},
            "custom_hooks[0]: PruningHook.monitor 'loss' is not validated; choose from ccc, ccc_valence",
        ),
    ],
)
def test_a_value_that_reverses_or_ends_training(demo: Path, overrides: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_config(load_config(CONFIG, {'data_root': str(demo), **overrides}), training=True)
    assert problem in str(error.value)
    assert 'Error: ' not in str(error.value), 'in the words of Python'


def test_watched_scores_of_a_model_that_reads_its_weights_while_it_is_built(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check builds models without memory, and so cannot build this one."""

    class Reading(torch.nn.Linear):
        def __init__(self, in_dim: int) -> None:
            super().__init__(in_dim, 4)
            self.in_dim, self.out_dim = in_dim, 4
            self.largest = float(self.weight.abs().max())

    monkeypatch.setitem(ENCODERS.module_dict, 'Reading', Reading)
    given = {
        **{'data_root': str(demo), 'epochs': 1, 'features': ['egemaps']},
        **{'hidden': 8, 'heads': 2, 'layers': 1, 'ffn': 8, 'regressor': [4]},
        'model.encoders': {'egemaps': {'type': 'Reading'}},
    }
    early = {'custom_hooks': [{'type': 'EarlyStopHook', 'patience': 1, 'monitor': 'ccc_valenz'}]}
    with pytest.raises(ConfigError, match=r"EarlyStopHook\.monitor 'ccc_valenz' is not validated"):
        check_config(load_config(CONFIG, {**given, **early}), training=True)
    plateau = {'type': 'WarmupPlateauLR', 'warmup': 0, 'patience': 1, 'monitor': 'ccc_valenz'}
    with pytest.raises(ConfigError, match=r"WarmupPlateauLR\.monitor 'ccc_valenz' is not validated"):
        train(load_config(CONFIG, {**given, 'param_scheduler': [plateau]}), tmp_path / 'plateau')
    stages = {'custom_hooks': [{'type': 'GradualReleaseHook', 'stages': [['context.7']]}]}
    stages |= {'param_scheduler': [{**plateau, 'monitor': 'ccc'}]}
    with pytest.raises(ConfigError, match=r"stage 1: 'context\.7' is no part of the model"):
        train(load_config(CONFIG, {**given, **stages}), tmp_path / 'stages')


def test_a_schedule_that_falls_below_0(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FallingLR(LinearLR):
        def _get_value(self) -> list[float]:
            return [base * (1 - 0.5 * self.last_step) for base in self.base_values]

    monkeypatch.setitem(PARAM_SCHEDULERS.module_dict, 'FallingLR', FallingLR)
    falling = {'data_root': str(demo), 'lr': 0.01, **schedule(type='FallingLR')}
    check_config(load_config(CONFIG, {**falling, 'epochs': 3}), training=True)
    with pytest.raises(ConfigError, match=r'param_scheduler: the rate in epoch 4 is -0.005: it must stay at'):
        check_config(load_config(CONFIG, {**falling, 'epochs': 4}), training=True)


@pytest.mark.parametrize(
    'overrides',
    [
        plain_constructor(custom_keys={'head': {'lr_mult': 0}}, norm_decay_mult=0.0),
        {**optimizer(type='Adagrad'), **schedule(type='LinearLR', start_factor=1.0, end_factor=0.0, end=7)},
        {**schedule(type='ReduceOnPlateauLR', monitor='rmse_valence_smoothed'), 'model.frozen': ['context']},
        schedule(type='ReduceOnPlateauLR', monitor='ccc', rule='greater'),
        {**schedule(type='LinearLR', start_factor=0.1, by_epoch=False, begin=500), 'epochs': 3},
        {'custom_hooks': [{'type': 'StopOnLoss'}]},
        {
            **schedule(type='ReduceOnPlateauLR', monitor='mae_valence', rule='less'),
            'val_evaluator.type': 'OwnMetric',
        },
    ],
)
def test_what_a_run_may_have(demo: Path, overrides: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    class StopOnLoss(Hook):
        """Somebody's own watches what it likes."""

        monitor, rule = 'loss', 'max'

    class OwnMetric(VAMetric):
        """Measures more."""

    monkeypatch.setitem(HOOKS.module_dict, 'StopOnLoss', StopOnLoss)
    monkeypatch.setitem(METRICS.module_dict, 'OwnMetric', OwnMetric)
    check_config(load_config(CONFIG, {'data_root': str(demo), **overrides}), training=True)


def test_what_outside_schedules_may_watch_is_what_is_measured() -> None:
    class Watch:
        monitor = 'none'

    labels = torch.linspace(-1, 1, 8).reshape(4, 2).double().numpy()
    measured = VAMetric().compute_metrics([AssembledVideo(labels, labels)])
    with pytest.raises(ConfigError) as error:
        check_measured(('valence', 'arousal'), Watch())
    assert sorted(str(error.value).partition('choose from ')[2].split(', ')) == sorted(measured)


TORCH = sorted(
    name
    for name, kind in OPTIMIZERS.parent.module_dict.items()
    # the constructors of these import torch's compiler, or take no bias
    if kind.__module__.startswith('torch.') and name not in ('Muon', 'TorchAdafactor', 'Optimizer')
)


@pytest.mark.parametrize('name', TORCH)
def test_every_optimiser_of_torch_can_be_looked_at(name: str) -> None:
    model = torch.nn.Linear(2, 3, bias=False)
    given = {'type': 'VAOptimWrapper', 'optimizer': {'type': name}}
    with DefaultScope.overwrite_default_scope('abawfw'):
        if name in ('LBFGS', 'SparseAdam'):
            with pytest.raises(ConfigError, match=f'optim_wrapper.optimizer: {name} '):
                built_wrapper(model, given)
            return
        (group,) = built_wrapper(model, given).optimizer.param_groups
    stated = inspect.signature(OPTIMIZERS.parent.module_dict[name]).parameters
    assert group['lr'] == stated['lr'].default
    assert group['params'] == list(model.parameters())
