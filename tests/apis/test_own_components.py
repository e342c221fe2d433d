"""Components from outside: those of docs/your_model.md train, and what one lacks is reported before a run."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import ROOT, call
from config.config_stores import DemoStores, check_and_run
from torch import nn

from abawfw import registry as registries
from abawfw.apis.check import check_config
from abawfw.apis.check_data import check_data
from abawfw.apis.infer import infer_store
from abawfw.apis.inferencer import VAInferencer
from abawfw.apis.report import write_data_report, write_run_report
from abawfw.apis.train import train
from abawfw.config.loading import VAConfig, load_config
from abawfw.datasets.demo.rucaim3 import make_demo_data
from abawfw.datasets.demo.trials import make_demo_trials
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.packed.pack import pack_store
from abawfw.errors import ConfigError
from abawfw.models.losses import PlainLoss, build_loss

PAGE = (ROOT / 'docs/your_model.md').read_text(encoding='utf-8')
BLOCKS = dict(re.findall(r'```python title="([^"]+)"\n(.*?)```', PAGE, re.DOTALL))
OWN = ('my_parts', 'my_models', 'my_store')
REGISTRIES = [value for value in vars(registries).values() if isinstance(value, registries.Registry)]


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('data')
    make_demo_data(root / 'demo', videos=(3, 2, 1), scale=0.02)
    make_demo_trials(root / 'trials', videos=(6, 2, 1), scale=0.01)
    return root


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The files of the page as a reader saves them; what they register is forgotten afterwards."""
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    for title, text in BLOCKS.items():
        path = tmp_path / title.replace('configs/mine/', '')
        path.write_text(text.replace('../', f'{ROOT}/configs/'))
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for registry in REGISTRIES:
        for name, component in list(registry.module_dict.items()):
            if component.__module__ in OWN:
                registry.module_dict.pop(name)
    for title in BLOCKS:
        sys.modules.pop(Path(title).stem, None)


def test_the_page_has_an_example_of_every_kind_of_part(page: Path) -> None:
    importlib.import_module('my_parts')
    importlib.import_module('my_models')
    importlib.import_module('my_store')
    for name in (
        *('BACKBONES', 'ENCODERS', 'FUSIONS', 'CONTEXTS', 'HEADS', 'LOSSES', 'TRANSFORMS', 'HOOKS'),
        'PARAM_SCHEDULERS',
        'STORES',
    ):
        registry: Any = getattr(registries, name)
        own = [c for c in registry.module_dict.values() if c.__module__ in OWN]
        assert own, f'the page has no example of a {registry.name}'


def test_its_components_train(page: Path, data: Path) -> None:
    small = {'data_root': str(data / 'demo'), 'epochs': 1, 'segment_length': 20}
    summary = train(load_config(page / 'parts.py', small), page / 'run')
    assert summary['status'] == 'done'
    header, row = (page / 'run/metrics.csv').read_text().splitlines()
    figures = dict(zip(header.split(','), map(float, row.split(',')), strict=True))
    assert figures['weight_norm'] > 0
    assert figures['loss'] > 0


@pytest.mark.parametrize('name', ['gated', 'pixels'])
def test_its_other_configs_pass_the_check(page: Path, data: Path, name: str) -> None:
    root = data / ('trials' if name == 'pixels' else 'demo')
    check_config(load_config(page / f'{name}.py', {'data_root': str(root)}), training=True)


@pytest.mark.parametrize('name', ['gated', 'parts', 'pixels', 'of_my_data'])
def test_its_configs_pass_what_is_tested_of_every_config(page: Path, tmp_path: Path, name: str) -> None:
    """tests/config/test_shipped_configs.py finds them in any folder, with any name and any data."""
    (page / 'of_my_data.py').write_text(f"_base_ = '{page}/gated.py'\ndata_root = 'data/mine'\n")
    check_and_run(page / f'{name}.py', DemoStores(tmp_path / 'stores'))


@pytest.fixture
def curves(tmp_path: Path) -> Path:
    """Data in the layout of the page's store: seven videos whose labels follow the features."""
    root = tmp_path / 'curves'
    rng = np.random.default_rng(3)
    for k, partition in enumerate(('train',) * 4 + ('val',) * 2 + ('test',)):
        (root / partition).mkdir(parents=True, exist_ok=True)
        va = np.cumsum(rng.normal(0, 0.05, (60 + k, 2)), axis=0).clip(-1, 1)
        rows = np.hstack([va, va + rng.normal(0, 0.1, va.shape), va[:, :1] * 2])
        np.savetxt(root / partition / f'v{k}.txt', rows, fmt='%.5f')
    (root / 'columns.txt').write_text('valence arousal pulse pulse skin\n')
    return root


def test_its_store_works_everywhere(
    page: Path, curves: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A store, a fusion, a loss and a config from outside: checked, trained, tested, reported and read."""
    config = page / 'curves.py'
    config.write_text(config.read_text().replace('data/curves', str(curves)))
    assert check_data(config).count('error') == 0
    cfg = load_config(config, {'epochs': 1, 'segment_length': 20})
    assert train(cfg, tmp_path / 'run')['status'] == 'done'
    assert (tmp_path / 'run/summary.json').is_file()
    assert call(capfd, 'test', tmp_path / 'run').code == 0
    assert (tmp_path / 'run/predictions/report.json').is_file()
    assert write_run_report(tmp_path / 'run').stat().st_size > 10_000
    assert write_data_report(curves, tmp_path / 'data.html').stat().st_size > 10_000
    store = open_store(curves)
    packed = pack_store(store, tmp_path / 'packed')
    inferencer = VAInferencer(tmp_path / 'run')
    done = infer_store(inferencer, store, tmp_path / 'curves_of_all')
    assert len(done.done) == 7
    for name, table in inferencer.predict_store(packed).items():
        again = inferencer.predict_store(store)[name]
        np.testing.assert_array_equal(table['valence_raw'], again['valence_raw'])


def test_a_plain_module_and_a_function_are_losses(page: Path) -> None:
    importlib.import_module('my_parts')
    loss = build_loss({'type': 'SmoothL1', 'beta': 1.0, 'weight': 2.0, 'targets': ['valence']}, 'losses[0]')
    assert isinstance(loss, PlainLoss)
    assert (loss.name, loss.weight, loss.targets) == ('smooth_l1', 2.0, ('valence',))
    pred = torch.tensor([[[0.5], [0.2], [9.0]]], requires_grad=True)
    label = torch.tensor([[[0.1], [float('nan')], [0.0]]])
    mask = torch.tensor([[True, True, False]])
    # one frame counts: .5 (.5 - .1)^2, times the weight
    assert loss(pred, label, mask).item() == pytest.approx(2 * 0.5 * 0.4**2)
    function = build_loss({'type': 'mean_difference', 'power': 1.0}, 'losses[0]')
    assert function.name == 'mean_difference'
    assert function(pred, label, mask).item() == pytest.approx(0.4)
    nothing = function(pred, label, torch.zeros_like(mask))
    assert nothing.item() == 0
    nothing.backward()
    assert torch.equal(pred.grad, torch.zeros_like(pred))


class Part(nn.Module):
    """A context that is made wrong in one way after the other."""

    stateful = False

    def __init__(self, in_dim: int, fault: str = '', size: int = 3) -> None:
        super().__init__()
        self.fault, self.in_dim = fault, in_dim
        self.linear = nn.Linear(in_dim, in_dim)
        self.stateful = fault.startswith('state')
        if fault == 'raises':
            raise ZeroDivisionError('by nothing')
        if fault == 'no length':
            self.out_dim = '8'
        if fault == 'width':
            self.out_dim = in_dim + 1
        if fault == 'state':
            self.initial_state = lambda n, device=None: torch.zeros(n)

    def forward(self, x: torch.Tensor, valid: torch.Tensor, state: Any = None) -> Any:
        if self.fault == 'tuple':
            return self.linear(x), None
        if self.fault == 'padding':
            return self.linear(x) + x.mean(dim=1, keepdim=True)
        if self.fault == 'neighbour':
            return self.linear(x) + torch.where(valid[..., None], x, 0).sum(dim=(0, 1))
        if self.fault == 'attribute':
            return self.layers(x)
        if self.fault == 'no gradient':
            return self.linear(x).detach()
        return self.linear(x)


FAULTS = {
    'raises': 'model.context[0]: ZeroDivisionError: by nothing (test_own_components.py, line',
    'no length': "model.context[0]: Part has out_dim='8': set self.out_dim to the length",
    'width': 'model.context[0]: Part: gives (2, 20, 95): forward(x, valid) with x (batch, time, in_dim)',
    'tuple': 'model.context[0]: Part: gives a tuple: forward(x, valid) with x (batch, time, in_dim)',
    'padding': 'model.context[0]: Part: looks at frames that valid excludes: mask them',
    'neighbour': 'model.context[0]: Part: another clip of the batch changes what a clip gives',
    'attribute': "Part, run on a small batch: AttributeError: 'Part' object has no attribute 'layers'",
    'no gradient': 'model.context[0]: Part: has parameters, but what it gives has no gradient',
    'stateful': "Part, run on a small batch: AttributeError: 'Part' object has no attribute 'initial_state'",
    'state': 'Part: has initial_state(n, device), which must give a tuple of tensors (n, ...)',
}


def cfg_with(data: Path, **changes: Any) -> VAConfig:
    plain = load_config(
        ROOT / 'configs/rucaim3/fclstm_xl_demo.py', {'data_root': str(data / 'demo')}
    ).to_dict()
    plain['segment_length'] = 20
    plain['model'] |= changes
    return VAConfig({k: v for k, v in plain.items() if k != 'hidden' or 'context' not in changes})


@pytest.fixture
def registered() -> Iterator[None]:
    registries.CONTEXTS.register_module(module=Part)
    yield
    registries.CONTEXTS.module_dict.pop('Part')


@pytest.mark.usefixtures('registered')
@pytest.mark.parametrize('fault', FAULTS)
def test_what_a_component_lacks_is_named(data: Path, fault: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_config(cfg_with(data, context=[{'type': 'Part', 'fault': fault}]), training=True)
    _, line = str(error.value).splitlines()
    assert FAULTS[fault] in line


@pytest.mark.usefixtures('registered')
def test_the_check_of_a_component_leaves_the_random_numbers_alone(data: Path) -> None:
    cfg = cfg_with(data, context=[{'type': 'Part'}])
    state = torch.random.get_rng_state()
    check_config(cfg, training=True)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.usefixtures('registered')
def test_values_are_held_against_the_annotations_of_a_component_from_outside(data: Path) -> None:
    line = r"model\.context\[0\]\.size: must be a whole number, not '3' \(size of Part\)"
    with pytest.raises(ConfigError, match=line):
        check_config(cfg_with(data, context=[{'type': 'Part', 'size': '3'}]))


class Counting(nn.Module):
    """A loss whose value does not say whether it depends on the predictions."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, pred: torch.Tensor, label: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        return {
            'zeros': torch.zeros(()),
            'detached': (pred.detach() - label).square().mean(),
            'own parameter': self.scale * label.square().mean(),
            'flat': (pred - label).abs().sub(1e6).relu().mean(),  # constant here, with a way to pred
        }[self.fault]


@pytest.fixture
def counting() -> Iterator[None]:
    registries.LOSSES.register_module(module=Counting)
    yield
    registries.LOSSES.module_dict.pop('Counting')


@pytest.mark.usefixtures('counting')
@pytest.mark.parametrize('fault', ['zeros', 'detached', 'own parameter'])
def test_a_loss_that_does_not_depend_on_the_predictions_is_named(data: Path, fault: str) -> None:
    cfg = load_config(ROOT / 'configs/rucaim3/fclstm_xl_demo.py', {'data_root': str(data / 'demo')})
    cfg['losses'] = [{'type': 'Counting', 'fault': fault}]
    with pytest.raises(ConfigError, match=r'losses\[0\]: Counting: does not depend on the predictions'):
        check_config(cfg, training=True)


@pytest.mark.usefixtures('counting')
def test_a_loss_that_is_constant_on_the_tried_batch_passes(data: Path) -> None:
    cfg = load_config(ROOT / 'configs/rucaim3/fclstm_xl_demo.py', {'data_root': str(data / 'demo')})
    cfg['losses'] = [{'type': 'Counting', 'fault': 'flat'}]
    check_config(cfg, training=True)
