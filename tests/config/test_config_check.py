"""Every mistake in a config is told, at once, with the nearest right name."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.runner import Runner

from abawfw.apis.check import check_config
from abawfw.config import check as config_check
from abawfw.config.check import config_problems
from abawfw.config.loading import VAConfig, load_config
from abawfw.datasets.stores.rucaim3.writer import RUCAIM3Writer
from abawfw.errors import ConfigError

CONFIG = Path(__file__).parents[2] / 'configs' / 'rucaim3' / 'transformer_affwild2.py'


def problems(change: Callable[[dict[str, Any]], object]) -> list[str]:
    cfg = load_config(CONFIG).to_dict()
    change(cfg)
    return config_problems(VAConfig(cfg))


def test_a_shipped_config_has_no_problem() -> None:
    assert problems(lambda cfg: None) == []


MISTAKES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    'unknown top-level key': (
        lambda c: c.update(optim_wraper={}),
        "unknown top-level key 'optim_wraper', and nothing refers to it as '${optim_wraper}': "
        "did you mean 'optim_wrapper'?",
    ),
    'missing top-level key': (lambda c: c.pop('val_evaluator'), "top-level key 'val_evaluator' is missing"),
    'unknown component': (
        lambda c: c['model'].update(type='VAEstimater'),
        "model: no model is called 'VAEstimater': did you mean 'VAEstimator'?",
    ),
    'component of MMEngine': (
        lambda c: c['train_cfg'].update(type='EpochBasedTrainLop'),
        "train_cfg: no loop is called 'EpochBasedTrainLop': did you mean 'EpochBasedTrainLoop'?",
    ),
    'component of another registry': (
        lambda c: c['model']['head'].update(type='ConcatFusion'),
        "model.head: no head is called 'ConcatFusion': there are: BinHead, RegressionHead, TanhHead",
    ),
    'unknown argument': (
        lambda c: c['transformer'].update(hiden=3),
        "model.context[0].hiden: TransformerContext has no such argument: did you mean 'hidden'?",
    ),
    'argument of a nested component': (
        lambda c: c['losses'][0].update(ovr='batch'),
        "model.head.losses[0].ovr: CCCLoss has no such argument: did you mean 'over'?",
    ),
    'argument of an optimiser': (
        lambda c: c['optim_wrapper']['optimizer'].update(beta=1),
        "optim_wrapper.optimizer.beta: Adam has no such argument: did you mean 'betas'?",
    ),
    'missing argument': (
        lambda c: c['val_dataloader']['dataset'].pop('clips'),
        "val_dataloader.dataset: ClipDataset needs the argument 'clips'",
    ),
    'missing type': (
        lambda c: c['transformer'].pop('type'),
        "model.context[0]: 'type' is missing: which context?",
    ),
    'missing type of a hook': (
        lambda c: c['default_hooks']['checkpoint'].pop('type'),
        "default_hooks.checkpoint: 'type' is missing: which hook?",
    ),
    'argument that the builder supplies': (
        lambda c: c['model'].update(input_dims={'a': 3}),
        'model.input_dims: is set by what VAEstimator is built from; omit it',
    ),
    'argument that a part is told': (
        lambda c: c['model']['head'].update(in_dim=3),
        'model.head.in_dim: is set by what RegressionHead is built from; omit it',
    ),
    'unknown setting': (
        lambda c: c['train_dataloader'].update(num_worker=2),
        "train_dataloader.num_worker: there is no such setting: did you mean 'num_workers'?",
    ),
    'unknown loading policy': (
        lambda c: c['train_dataloader'].update(loading={'type': 'Reside'}),
        "train_dataloader.loading: no loading policy is called 'Reside': did you mean 'Resident'?",
    ),
    'argument that a loading policy is told': (
        lambda c: c['val_dataloader'].update(loading={'type': 'Resident', 'within': 0.5}),
        'val_dataloader.loading.within: is set by what Resident is built from; omit it',
    ),
    'component where none belongs': (
        lambda c: c['randomness'].update(seed={'type': 'Adam'}),
        "randomness.seed: must be a whole number, not {'type': 'Adam'}",
    ),
    'unknown reference': (
        lambda c: c['train_cfg'].update(max_epochs='${epoch}'),
        "train_cfg.max_epochs: refers to 'epoch', which is no top-level value: did you mean 'epochs'?",
    ),
}


@pytest.mark.parametrize('name', MISTAKES)
def test_a_mistake_gives_its_line_and_no_other(name: str) -> None:
    change, line = MISTAKES[name]
    assert problems(change) == [line]


def test_all_mistakes_are_told_at_once() -> None:
    # these hide others: without its type nothing is known of a component, without its name neither
    hiding = ('missing type', 'unknown component', 'component of another registry')
    together = [
        mistake for name, mistake in MISTAKES.items() if name not in (*hiding, 'missing top-level key')
    ]

    def change_all(cfg: dict[str, Any]) -> None:
        for change, _ in together:
            change(cfg)

    assert problems(change_all) == sorted(line for _, line in together)


def test_a_mistake_in_a_shared_value_is_told_wherever_it_is_used() -> None:
    lines = problems(lambda cfg: cfg['pipeline'][0].update(x=1))
    assert lines == [
        f'{key}.dataset.pipeline[0].x: LoadFeatures has no such argument: there are: masked'
        for key in ('train_dataloader', 'val_dataloader')
    ]


def test_arguments_of_base_classes_are_known() -> None:
    # MMEngine's LinearLR passes **kwargs on to the class that has `end`
    scheduler = {'type': 'LinearLR', 'start_factor': 0.1, 'end': 3, 'ende': 3}
    lines = problems(lambda cfg: cfg['param_scheduler'].append(scheduler))
    assert lines == ["param_scheduler[1].ende: LinearLR has no such argument: did you mean 'end'?"]


def test_a_component_of_the_user_is_found_through_custom_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'my_own_loss.py').write_text(
        'from abawfw.registry import LOSSES\n\n\n@LOSSES.register_module()\nclass MyOwnLoss:\n'
        '    def __init__(self, sharpness: float) -> None:\n        self.sharpness = sharpness\n'
    )
    config = tmp_path / 'mine.py'
    config.write_text(
        f"_base_ = {str(CONFIG)!r}\ncustom_imports = dict(imports=['my_own_loss'])\n"
        "losses = [dict(type='MyOwnLoss', sharp=1)]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert config_problems(load_config(config)) == [
            "model.head.losses[0].sharp: MyOwnLoss has no such argument: did you mean 'sharpness'?",
            "model.head.losses[0]: MyOwnLoss needs the argument 'sharpness'",
        ]
    finally:
        registry = config_check.registries.LOSSES
        registry.module_dict.pop('MyOwnLoss', None)
        sys.modules.pop('my_own_loss', None)


def test_the_keys_of_the_runner_are_its_parameters() -> None:
    # custom_imports is carried out by Config when it reads the file
    assert config_check.RUNNER_KEYS - set(inspect.signature(Runner).parameters) == {'custom_imports'}
    assert set(config_check.REQUIRED_KEYS) <= config_check.RUNNER_KEYS | config_check.OWN_KEYS


def test_the_settings_of_randomness_are_those_of_the_runner() -> None:
    parameters = set(inspect.signature(Runner.set_randomness).parameters) - {'self'}
    assert parameters == set(config_check.GROUPS['randomness'])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with RUCAIM3Writer(tmp_path / 'store', {'affectnet': (2,), 'vggish': (3,), 'wav2vec': (2,)}) as writer:
        for partition in ('train', 'val'):
            features = {name: np.zeros((4, *dims)) for name, dims in writer.features.items()}
            writer.add(f'video_{partition}', partition, features, labels=np.zeros((4, 2)))
    return tmp_path / 'store'


def test_data_and_config_are_checked_together(store: Path) -> None:
    overrides = {'data_root': str(store), 'features': ['affectnet', 'vgish'], 'model.typ': 1}
    with pytest.raises(ConfigError) as error:
        check_config(load_config(CONFIG, overrides))
    text = str(error.value)
    assert 'transformer_affwild2.py: 2 problems' in text
    assert f"features: {store} has no feature 'vgish': did you mean 'vggish'?" in text
    assert 'model.typ: VAEstimator has no such argument' in text


def test_a_good_config_with_its_data(store: Path) -> None:
    check_config(load_config(CONFIG, {'data_root': str(store)}))


def test_a_missing_store_is_one_of_the_problems(tmp_path: Path) -> None:
    overrides = {'data_root': str(tmp_path / 'nowhere'), 'model.typ': 1}
    with pytest.raises(ConfigError, match=r'(?s)2 problem.*data_root: .*nowhere'):
        check_config(load_config(CONFIG, overrides))


@pytest.mark.parametrize('features', ['affectnet', [], 3])
def test_features_must_be_a_list(store: Path, features: Any) -> None:
    with pytest.raises(ConfigError, match='features: must be a list'):
        check_config(load_config(CONFIG, {'data_root': str(store), 'features': features}))


def test_missing_data_root_and_features_are_told(store: Path) -> None:
    cfg = load_config(CONFIG).to_dict()
    del cfg['data_root'], cfg['features']
    with pytest.raises(ConfigError) as error:
        check_config(VAConfig(cfg))
    assert "top-level key 'data_root' is missing" in str(error.value)
    assert "top-level key 'features' is missing" in str(error.value)
