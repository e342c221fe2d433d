"""Learning rates, clipping and precision of a training step."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import mmengine.device.utils
import numpy as np
import pytest
import torch
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import DefaultScope
from torch import nn

from abawfw.checkpoints import load_checkpoint
from abawfw.engine.optim import SubnetworkConstructor, VAOptimWrapper
from abawfw.engine.optim.va_optim_wrapper import check_precision
from abawfw.errors import ConfigError
from abawfw.registry import PARAM_SCHEDULERS

ConfigList = list[dict[str, Any]]
LINEAR: ConfigList = [{'type': 'ConstantThenLinearLR', 'constant_epochs': 10, 'end': 30}]
EARLY: ConfigList = [{'type': 'ConstantThenLinearLR', 'constant_epochs': 3, 'end': 30}]
STEP: ConfigList = [{'type': 'StepLR', 'step_size': 5, 'gamma': 0.1}]
COSINE: ConfigList = [{'type': 'CosineAnnealingLR', 'T_max': 10, 'eta_min': 0.0}]
# MMEngine multiplies the rate of the epoch before, so it cannot start from exactly zero
WARM_UP: ConfigList = [
    {'type': 'LinearLR', 'start_factor': 1e-9, 'end_factor': 1.0, 'begin': 0, 'end': 11},
    {'type': 'LinearLR', 'start_factor': 1.0, 'end_factor': 0.0, 'begin': 10, 'end': 31},
]


def rates(lr: float, configs: ConfigList, epochs: int = 31, resume_at: int = 0) -> list[float]:
    """The rate of each epoch; from ``resume_at`` on by schedulers built anew, with the state of the old."""

    def build() -> tuple[VAOptimWrapper, list[Any]]:
        wrapper = VAOptimWrapper(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr))
        with DefaultScope.overwrite_default_scope('abawfw'):
            built = [PARAM_SCHEDULERS.build(dict(c), default_args={'optimizer': wrapper}) for c in configs]
        return wrapper, built

    wrapper, schedulers = build()
    found = []
    for epoch in range(epochs):
        if resume_at and epoch == resume_at:
            states = [wrapper.state_dict(), *(s.state_dict() for s in schedulers)]
            wrapper, schedulers = build()
            for part, state in zip([wrapper, *schedulers], states, strict=True):
                part.load_state_dict(state)
        found.append(wrapper.get_lr()['lr'][0])
        wrapper.step()
        for scheduler in schedulers:
            scheduler.step()
    return found


@pytest.mark.parametrize('resume_at', [0, 5, 20])
@pytest.mark.parametrize(
    ('name', 'lr', 'configs'),
    [
        ('linear_lr2e-5_niter10_decay20', 2e-5, LINEAR),
        ('linear_lr3e-5_niter3_decay27', 3e-5, EARLY),
        ('step_lr2e-5_niter10_decay20_decayiters5', 2e-5, STEP),
        ('cosine_lr2e-5_niter10_decay20', 2e-5, COSINE),
        ('linear_with_warmup_lr2e-5_niter10_decay20', 2e-5, WARM_UP),
    ],
)
def test_schedules_of_the_reference(
    golden: Path, name: str, lr: float, configs: ConfigList, resume_at: int
) -> None:
    expected = np.load(golden / 'schedules.npz')[name]
    np.testing.assert_allclose(rates(lr, configs, resume_at=resume_at), expected, rtol=1e-6, atol=1e-13)


def test_schedule_of_a_run_resumed_at_epoch_6(golden: Path) -> None:
    expected = np.load(golden / 'schedules.npz')['linear_lr2e-5_niter10_decay20_epochcount6']
    np.testing.assert_allclose(rates(2e-5, LINEAR, resume_at=5)[5:], expected, rtol=1e-6)


@pytest.mark.parametrize('end', [1, 2, 3])
def test_schedule_of_a_training_within_the_constant_epochs(end: int) -> None:
    assert rates(1e-3, [{**EARLY[0], 'end': end}], epochs=end) == [1e-3] * end


class TwoParts(nn.Module):
    """Two sub-networks whose gradients differ by a factor of a thousand, and a frozen one."""

    def __init__(self) -> None:
        super().__init__()
        self.small, self.large, self.frozen = nn.Linear(2, 1), nn.Linear(2, 1), nn.Linear(2, 1)
        self.frozen.requires_grad_(False)

    def subnetworks(self) -> dict[str, nn.Module]:
        return {'small': self.small, 'large': self.large}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.small(x) + 1000 * self.large(x) + self.frozen(x)).sum()


def wrap(model: nn.Module, **more: Any) -> VAOptimWrapper:
    with DefaultScope.overwrite_default_scope('abawfw'):
        cfg = {'type': 'VAOptimWrapper', 'optimizer': {'type': 'SGD', 'lr': 1.0}, **more}
        return SubnetworkConstructor(cfg)(model)


def test_clipping_acts_per_subnetwork() -> None:
    model = TwoParts()
    wrapper = wrap(model, max_norm=5.0)
    assert [g['name'] for g in wrapper.optimizer.param_groups] == ['small', 'large']
    before = {k: v.clone() for k, v in model.state_dict().items()}
    x = torch.ones(1, 2)
    wrapper.update_params(model(x))
    moved = {k: before[k] - v for k, v in model.state_dict().items()}
    # gradient (1, 1; 1) of small: norm sqrt(3) is below 5, so untouched; of large: 1000 times that, cut to 5
    torch.testing.assert_close(moved['small.weight'], torch.ones(1, 2))
    norm = torch.linalg.vector_norm(torch.cat([moved['large.weight'].flatten(), moved['large.bias']]))
    assert float(norm) == pytest.approx(5.0, rel=1e-4)
    assert not moved['frozen.weight'].any()
    norms = [float(n) for n in wrapper.gradient_norms]
    np.testing.assert_allclose(norms, [3**0.5, 1000 * 3**0.5], rtol=1e-5)


def test_without_clipping() -> None:
    model = TwoParts()
    wrapper = wrap(model)
    before = model.large.bias.clone()
    wrapper.update_params(model(torch.ones(1, 2)))
    torch.testing.assert_close(before - model.large.bias, torch.tensor([1000.0]))
    norms = [float(n) for n in wrapper.gradient_norms]  # watched all the same
    np.testing.assert_allclose(norms, [3**0.5, 1000 * 3**0.5], rtol=1e-5)


# --- options of parts


class Nested(nn.Module):
    """Two sub-networks, one of which has parts of its own; the first part is frozen."""

    def __init__(self) -> None:
        super().__init__()
        video = nn.ModuleDict({'stem': nn.Linear(2, 3), 'output_layer': nn.Linear(3, 2)})
        self.backbones = nn.ModuleDict({'video': video, 'logmel': nn.Linear(2, 2)})
        self.head = nn.Linear(2, 1)
        video['stem'].requires_grad_(False)

    def subnetworks(self) -> dict[str, nn.Module]:
        return {**{f'backbones.{k}': v for k, v in self.backbones.items()}, 'head': self.head}


def build_groups(paramwise: dict[str, dict[str, Any]] | None) -> dict[str, tuple[int, float, float]]:
    """Tensors, rate and weight decay of each group, by name."""
    cfg = {'type': 'VAOptimWrapper', 'optimizer': {'type': 'Adam', 'lr': 1.0, 'weight_decay': 0.5}}
    with DefaultScope.overwrite_default_scope('abawfw'):
        wrapper = SubnetworkConstructor(cfg, paramwise)(Nested())
    groups = wrapper.optimizer.param_groups
    assert sum(len(g['params']) for g in groups) == len(list(Nested().parameters()))
    return {g['name']: (len(g['params']), g['lr'], g['weight_decay']) for g in groups}


def test_frozen_parameters_are_in_their_group() -> None:
    same = {'backbones.video': (4, 1.0, 0.5), 'backbones.logmel': (2, 1.0, 0.5), 'head': (2, 1.0, 0.5)}
    assert build_groups(None) == same


def test_a_frozen_parameter_does_not_move() -> None:
    model = Nested()
    with DefaultScope.overwrite_default_scope('abawfw'):
        cfg = {'type': 'VAOptimWrapper', 'optimizer': {'type': 'Adam', 'lr': 1.0, 'weight_decay': 0.5}}
        wrapper = SubnetworkConstructor(cfg)(model)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    video = model.backbones['video']
    wrapper.update_params(model.head(video['output_layer'](video['stem'](torch.ones(1, 2)))).sum())
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {f'{m}.{k}' for m in ('head', 'backbones.video.output_layer') for k in ('weight', 'bias')}


def test_options_of_parts() -> None:
    paramwise = {
        'backbones': {'lr': 0.1},
        'backbones.video.output_layer': {'lr': 0.01, 'weight_decay': 0.0},
        'head': {'weight_decay': 0.25},
    }
    assert build_groups(paramwise) == {
        'backbones.video': (2, 0.1, 0.5),
        'backbones.video.output_layer': (2, 0.01, 0.0),
        'backbones.logmel': (2, 0.1, 0.5),
        'head': (2, 1.0, 0.25),
    }


def test_options_of_patterns() -> None:
    paramwise = {
        '*.bias': {'weight_decay': 0.0},
        'backbones.video': {'lr': 0.1},
        'backbones.*.stem.*': {'lr': 0.2},
    }
    assert build_groups(paramwise) == {
        'backbones.video backbones.*.stem.*': (1, 0.2, 0.5),
        'backbones.video *.bias backbones.*.stem.*': (1, 0.2, 0.0),
        'backbones.video': (1, 0.1, 0.5),
        'backbones.video *.bias': (1, 0.1, 0.0),
        'backbones.logmel': (1, 1.0, 0.5),
        'backbones.logmel *.bias': (1, 1.0, 0.0),
        'head': (1, 1.0, 0.5),
        'head *.bias': (1, 1.0, 0.0),
    }


PATTERNS = {'*.bias': {'weight_decay': 0.0}, 'backbones.video.output_layer': {'lr': 0.1}}


@pytest.mark.parametrize('max_norm', [2.0, None])
def test_groups_of_a_subnetwork_are_clipped_together(max_norm: float | None) -> None:
    """Options of a part or a pattern change those options, and not what the gradient is cut to."""
    torch.manual_seed(0)
    model = Nested()
    with DefaultScope.overwrite_default_scope('abawfw'):
        optimizer = {'type': 'SGD', 'lr': 1.0}
        cfg = {'type': 'VAOptimWrapper', 'optimizer': optimizer, 'max_norm': max_norm}
        wrapper = SubnetworkConstructor(cfg, PATTERNS)(model)
    lengths = []
    for network in model.subnetworks().values():
        parameters = [p for p in network.parameters() if p.requires_grad]
        for i, parameter in enumerate(parameters):
            parameter.grad = torch.full_like(parameter, i + 1.0)
        lengths.append(sum((i + 1) ** 2 * p.numel() for i, p in enumerate(parameters)) ** 0.5)
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}
    wrapper.step()
    np.testing.assert_allclose([float(norm) for norm in wrapper.gradient_norms], lengths, rtol=1e-6)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            at = next(i for i, network in enumerate(model.subnetworks()) if name.startswith(f'{network}.'))
            factor = 1.0 if max_norm is None else min(1.0, max_norm / lengths[at])
            torch.testing.assert_close(parameter.grad, factor * grads[name])


def test_groups_of_no_subnetwork_are_clipped_together() -> None:
    """MMEngine's constructor makes a group of each parameter as soon as one has options of its own."""
    model = TwoParts()
    with DefaultScope.overwrite_default_scope('abawfw'):
        optimizer = {'type': 'SGD', 'lr': 1.0, 'weight_decay': 0.1}
        cfg = {'type': 'abawfw.VAOptimWrapper', 'optimizer': optimizer, 'max_norm': 1.0}
        wrapper = DefaultOptimWrapperConstructor(cfg, {'bias_decay_mult': 0.0})(model)
    assert {g['weight_decay'] for g in wrapper.optimizer.param_groups} == {0.0, 0.1}
    trained = [p for p in model.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.grad = torch.ones_like(parameter)
    wrapper.step()
    assert float(torch.cat([p.grad.flatten() for p in trained]).norm()) == pytest.approx(1.0, rel=1e-5)
    assert [float(n) for n in wrapper.gradient_norms] == [pytest.approx(6**0.5)]


def test_a_state_of_groups_that_name_no_subnetwork() -> None:
    """As version 0.1.0 wrote it: what follows is clipped by sub-network all the same."""
    torch.manual_seed(0)
    model = Nested()
    with DefaultScope.overwrite_default_scope('abawfw'):
        optimizer = {'type': 'SGD', 'lr': 0.0}
        cfg = {'type': 'VAOptimWrapper', 'optimizer': optimizer, 'max_norm': 5.0}
        wrapper = SubnetworkConstructor(cfg, PATTERNS)(model)
    state = wrapper.state_dict()
    for group in state['param_groups']:
        del group['network']
    wrapper.load_state_dict(state)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 2.0) if parameter.requires_grad else None
    wrapper.step()
    lengths = [2 * 8**0.5, 2 * 6**0.5, 2 * 3**0.5]
    np.testing.assert_allclose([float(norm) for norm in wrapper.gradient_norms], lengths, rtol=1e-6)


@pytest.mark.parametrize(
    ('paramwise', 'message'),
    [
        (
            {'*.beta': {'lr': 1.0}},
            r"no parameter is called '\*.beta'; they are called such as backbones.video",
        ),
        ({'backbones.vidio': {'lr': 1.0}}, "no part 'backbones.vidio' .* did you mean 'backbones.video'"),
        ({'backbones.vid': {'lr': 1.0}}, "no part 'backbones.vid' "),
        ({'head': {'weigth_decay': 1.0}}, "Adam has no option 'weigth_decay'; did you mean 'weight_decay'"),
    ],
)
def test_options_of_nothing(paramwise: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_groups(paramwise)


def test_options_of_parts_in_a_run(train, tmp_path: Path) -> None:
    """A rate of 0 keeps a part as it was."""
    run = tmp_path / 'run'
    frozen = {'optim_wrapper.paramwise_cfg': {'head': {'lr': 0.0}}}
    found = train(run, epochs=2, **frozen)
    assert found['codes'] == [0], found['output']
    first, second = (load_checkpoint(run / f'epoch_{e}.pth') for e in (1, 2))
    same = {k for k, v in first['state_dict'].items() if torch.equal(v, second['state_dict'][k])}
    assert {k for k in first['state_dict'] if k.startswith('head')} <= same
    assert any(k.startswith('context') for k in first['state_dict'].keys() - same)
    assert [g['lr'] for g in second['optimizer']['param_groups']][-1] == 0.0
    wrong = train(tmp_path / 'wrong', epochs=1, **{'optim_wrapper.paramwise_cfg': {'haed': {'lr': 0.0}}})
    assert wrong['codes'] == [2]
    assert "no part 'haed' with parameters; did you mean 'head'?" in wrong['output']


def test_bf16_computes_in_bf16_and_keeps_weights_in_fp32() -> None:
    model = TwoParts()
    wrapper = wrap(model, precision='bf16')
    with wrapper.optim_context(model):
        assert model.small(torch.ones(1, 2)).dtype == torch.bfloat16
    with wrap(model).optim_context(model):
        assert model.small(torch.ones(1, 2)).dtype == torch.float32
    wrapper.update_params(model(torch.ones(1, 2)))
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_unknown_precision() -> None:
    with pytest.raises(ConfigError, match="precision 'half' is unknown; choose from fp32, bf16, fp16"):
        wrap(TwoParts(), precision='half')


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')
def test_fp16_needs_a_gpu() -> None:
    with pytest.raises(ConfigError, match='fp16 needs a GPU, and the CPU computes here: use --amp bf16'):
        wrap(TwoParts(), precision='fp16')


def test_bf16_needs_a_gpu_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmengine.device.utils, 'DEVICE', 'cuda')
    for name, value in {'get_device_name': 'GPU A', 'get_device_capability': (7, 5)}.items():
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation: including_emulation)
    message = (
        'bf16 needs a GPU of compute capability 8.0 (Ampere) or above, and GPU A has 7.5: use --amp fp16, or '
        'optim_wrapper.precision=fp32'
    )
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_precision('bf16')
    check_precision('fp16')


@pytest.mark.gpu
@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
def test_mixed_precision_on_a_gpu(precision: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 1)).cuda()
    model.subnetworks = lambda: {'0': model[0], '1': model[1]}  # type: ignore[assignment]
    adam = {'type': 'Adam', 'lr': 0.05, 'fused': True}
    wrapper = wrap(model, precision=precision, max_norm=5.0, optimizer=adam)
    x = torch.randn(64, 8, device='cuda')
    y = x.sum(-1, keepdim=True)
    losses = []
    for _ in range(60):
        with wrapper.optim_context(model):
            predicted = model(x)
            assert predicted.dtype == {'bf16': torch.bfloat16, 'fp16': torch.float16}[precision]
        loss = (predicted.float() - y).square().mean()
        wrapper.update_params(loss)
        losses.append(float(loss))
    assert losses[-1] < 0.1 * losses[0]
    state = wrapper.state_dict()
    assert ('loss_scaler' in state) == (precision == 'fp16')
    again = wrap(model, precision=precision, optimizer=adam)
    again.load_state_dict(state)
    if precision == 'fp16':
        assert again.scaler.get_scale() == wrapper.scaler.get_scale()


def test_bf16_run_on_a_cpu(train, tmp_path: Path) -> None:
    found = train(tmp_path / 'run', **{'optim_wrapper.precision': 'bf16'})
    assert found['codes'] == [0], found['output']


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')
def test_fp16_run_on_a_cpu(train, tmp_path: Path) -> None:
    found = train(tmp_path / 'run', **{'optim_wrapper.precision': 'fp16'})
    assert found['codes'] == [2]
    assert found['output'].find('fp16 needs a GPU') > 0, found['output']
