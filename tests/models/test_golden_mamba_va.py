"""Mamba-VA with the reference's weights gives the reference's numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_recipe import fill, golden_input, numbers, parameter_names
from torch import Tensor, nn

from abawfw.evaluation.functional import ccc
from abawfw.models.contexts.mamba_context import MambaContext, MambaMixer, selective_scan
from abawfw.models.convert.mamba_va import LEFT_OUT, RULES
from abawfw.models.encoders import TCN
from abawfw.models.losses import BinnedCrossEntropyLoss, CCCLoss
from abawfw.registry import HEADS, MODELS

CLOSE = {'rtol': 0, 'atol': 1e-5}
SIZES = {  # of a whole model: TCN, kernel, Mamba layers, states, head
    'model_small': ((16, 14, 12, 10), 5, 2, 4, 6),
    'model_full': ((1024, 768, 512, 256), 15, 4, 8, 128),
}
PREFIXES = {'mamba_block': 'mamba.mamba.', 'mamba_encoder': 'mamba.', 'tcn_prelu': 'temporal.'}


def ours(name: str, of: str) -> str | None:
    """Our name of a parameter of a golden; None where the reference never uses it."""
    name = PREFIXES.get(of, '') + name
    if any(re.fullmatch(pattern, name) for pattern in LEFT_OUT):
        return None
    return next(m.expand(new) for old, new in RULES if (m := re.fullmatch(old, name))).replace('{m}', 'mae')


def weights_of(golden: Path, of: str, below: str = '') -> dict[str, Tensor]:
    """Weights of a golden by our names below a part."""
    filled = fill(parameter_names(golden)[of], of)
    named = {ours(k, of): v for k, v in filled.items()}
    return {k.removeprefix(below): v for k, v in named.items() if k is not None}


def assert_gradients(
    golden: Path, of: str, module: nn.Module, below: str = '', tolerance: float = 1e-4
) -> None:
    """Their norms, of all parameters."""
    expected = json.loads((golden / 'grad_norms.json').read_text())[of]
    unused = expected.pop('unused', [])
    found = dict(module.named_parameters())
    assert {ours(k, of).removeprefix(below) for k in expected} == set(found)
    assert all(ours(k, of) is None for k in unused)
    for key, norm in expected.items():
        grad = found[ours(key, of).removeprefix(below)].grad
        assert grad.norm().item() == pytest.approx(norm, rel=tolerance, abs=1e-6), key


def everything(x: Tensor) -> Tensor:
    return torch.ones(x.shape[:2], dtype=torch.bool)


def test_selective_scan(golden_mamba_va: Path) -> None:
    arrays = numbers(golden_mamba_va, 'selective_scan')
    x = {k: arrays[k].clone().requires_grad_() for k in ('u', 'delta', 'A', 'B', 'C', 'D', 'z', 'bias')}
    start = torch.zeros(2, 4, 6)

    def scan(bias: Tensor | float) -> tuple[Tensor, Tensor]:
        sequences = (x['u'].mT, F.softplus(x['delta'].mT + bias), (-x['A']).log(), x['B'].mT, x['C'].mT)
        return selective_scan(*sequences, start)

    y, last = scan(x['bias'])
    y = y + x['D'] * x['u'].mT
    out = y * F.silu(x['z'].mT)
    torch.testing.assert_close(out.mT, arrays['out'], **CLOSE)
    torch.testing.assert_close(y.mT, arrays['out_no_z'], **CLOSE)
    torch.testing.assert_close(last.mT, arrays['last_state'], **CLOSE)
    torch.testing.assert_close(scan(0.0)[0].mT, arrays['out_plain'], **CLOSE)
    (out.mT * arrays['R']).sum().backward()
    for name, tensor in x.items():
        torch.testing.assert_close(tensor.grad, arrays[f'grad_in_{name}'], **CLOSE, msg=name)


MIXERS = {'mamba_mixer': (24, 4, 4, 1), 'mamba_mixer_e2': (20, 8, 3, 2)}


@pytest.mark.parametrize('name', MIXERS)
def test_mixer(golden_mamba_va: Path, name: str) -> None:
    """Outputs, what is carried on, and every gradient."""
    arrays = numbers(golden_mamba_va, name)
    dim, states, kernel, expand = MIXERS[name]
    mixer = MambaMixer(dim, states, kernel, expand)
    mixer.load_state_dict(fill(parameter_names(golden_mamba_va)[name], name))
    x = arrays['x'].requires_grad_()
    start = torch.zeros(2, kernel - 1, expand * dim), torch.zeros(2, states, expand * dim)
    out, (inputs, memory) = mixer(x, everything(x), start)
    torch.testing.assert_close(out, arrays['out'], **CLOSE)
    torch.testing.assert_close(inputs.mT, arrays['conv_state'][..., 1:], **CLOSE)
    torch.testing.assert_close(memory.mT, arrays['ssm_state'], **CLOSE)
    (out * arrays['R']).sum().backward()
    torch.testing.assert_close(x.grad, arrays['grad_in_x'], **CLOSE)
    for key, parameter in mixer.named_parameters():
        torch.testing.assert_close(parameter.grad, arrays[f'grad_{key}'], rtol=1e-5, atol=1e-5, msg=key)


def test_block_of_layers(golden_mamba_va: Path) -> None:
    arrays = numbers(golden_mamba_va, 'mamba_block')
    context = MambaContext(24, layers=2, states=4, normalize=False, carry=False)
    context.load_state_dict(weights_of(golden_mamba_va, 'mamba_block', 'context.0.'))
    x = arrays['x'].requires_grad_()
    out = context(x, everything(x))
    torch.testing.assert_close(out, arrays['out'], **CLOSE)
    (out * arrays['R']).sum().backward()
    torch.testing.assert_close(x.grad, arrays['grad_in_x'], **CLOSE)
    assert_gradients(golden_mamba_va, 'mamba_block', context, 'context.0.')


def test_frames_are_normalised_before_the_layers(golden_mamba_va: Path) -> None:
    arrays = numbers(golden_mamba_va, 'mamba_encoder')
    weights = weights_of(golden_mamba_va, 'mamba_encoder', 'context.0.')
    context, plain = (
        MambaContext(24, layers=2, states=4, normalize=normalize, carry=False) for normalize in (True, False)
    )
    for module in (context, plain):
        module.load_state_dict(weights)
    x = arrays['x'].requires_grad_()
    out = context(x.mT, everything(x.mT))
    torch.testing.assert_close(out, arrays['out'], **CLOSE)
    torch.testing.assert_close(plain(arrays['normed'], everything(out)), arrays['out'], **CLOSE)
    (out * arrays['R']).sum().backward()
    torch.testing.assert_close(x.grad, arrays['grad_in_x'], **CLOSE)
    assert_gradients(golden_mamba_va, 'mamba_encoder', context, 'context.0.')


def test_tcn(golden_mamba_va: Path) -> None:
    arrays = numbers(golden_mamba_va, 'tcn_prelu')
    encoder = TCN(12, (12, 10, 10, 8), 5, activation='prelu', norm=False).eval()
    encoder.load_state_dict(weights_of(golden_mamba_va, 'tcn_prelu', 'encoders.mae.'))
    x = arrays['x'].requires_grad_()
    levels: list[Tensor] = []
    encoder.tcn.network[0].register_forward_hook(lambda *args: levels.append(args[2]))
    out = encoder(x.mT, everything(x.mT)).mT
    torch.testing.assert_close(levels[0].mT, arrays['level0'], **CLOSE)
    torch.testing.assert_close(out, arrays['out'], **CLOSE)
    (out * arrays['R']).sum().backward()
    torch.testing.assert_close(x.grad, arrays['grad_in_x'], **CLOSE)
    assert_gradients(golden_mamba_va, 'tcn_prelu', encoder, 'encoders.mae.')


def build(name: str, initial: str = 'paper') -> Any:
    channels, kernel, layers, states, hidden = SIZES[name]
    tcn = {'channels': channels, 'kernel': kernel, 'activation': 'prelu', 'norm': False, 'residual_std': 0.01}
    mamba = {'layers': layers, 'states': states, 'initial': initial, 'carry': False}
    return MODELS.build(
        {
            'type': 'VAEstimator',
            'input_dims': {'mae': channels[0]},
            'encoders': {'mae': {'type': 'TCN', **tcn}},
            'context': [{'type': 'MambaContext', **mamba}],
            'head': {'type': 'RegressionHead', 'layers': [hidden], 'dropout': 0.0},
        }
    )


def test_small_model(golden_mamba_va: Path) -> None:
    """Gradients in float64: where a PReLU's input is 1e-8, float32 gives either of two."""
    arrays = numbers(golden_mamba_va, 'model_small')
    model = build('model_small').eval()
    model.load_state_dict(weights_of(golden_mamba_va, 'model_small'))
    x, mask = arrays['x'], everything(arrays['x'])
    expected = torch.stack([arrays['valence'], arrays['arousal']], dim=-1)
    torch.testing.assert_close(model({'mae': x}).va, expected, **CLOSE)
    model, x = model.double(), x.double().requires_grad_()
    va = model.head(model.context[0](model.encoders['mae'](x, mask), mask), mask).va
    (va * arrays['R']).sum().backward()
    torch.testing.assert_close(x.grad.float(), arrays['grad_in_x'], **CLOSE)
    assert_gradients(golden_mamba_va, 'model_small', model)


@pytest.mark.slow  # 67 million parameters
def test_full_model(golden_mamba_va: Path) -> None:
    arrays = numbers(golden_mamba_va, 'model_full')
    with torch.device('meta'):
        model = build('model_full').eval()
    model.load_state_dict(weights_of(golden_mamba_va, 'model_full'), assign=True)
    x = golden_input('model_full', (2, 40, 1024)).requires_grad_()
    va = model({'mae': x}).va
    expected = torch.stack([arrays['valence'], arrays['arousal']], dim=-1)
    torch.testing.assert_close(va, expected, **CLOSE)
    (va * golden_input('model_full:R', va.shape)).sum().backward()
    # one PReLU of millions has an input of 1e-8, and is not on the same side of zero in all of float32
    apart = (x.grad.norm(dim=-1) - arrays['grad_in_x_norm_per_frame']).abs()
    assert (apart > 1e-5).double().mean() < 0.1
    assert apart.max() < 1e-4
    assert_gradients(golden_mamba_va, 'model_full', model, tolerance=3e-3)


def test_initial_values(golden_mamba_va: Path) -> None:
    """Of the authors: mean and deviation of every parameter, as far as two draws of them agree."""
    torch.manual_seed(1)
    found = dict(build('model_full', 'authors').named_parameters())
    stats = json.loads((golden_mamba_va / 'init_stats.json').read_text())['values']
    named = {ours(k, 'model_full'): v for k, v in stats.items()}
    del named[None]
    assert set(named) == set(found)
    for key, (mean, std, low, high) in named.items():
        tensor = found[key].detach()
        count = tensor.numel()
        if std == 0:
            assert (tensor == mean).all(), key
        elif count > 2:
            spread = (tensor.max() - tensor.min()).item()
            assert abs(tensor.mean().item() - mean) <= 7 * std / count**0.5, key
            assert tensor.std().item() == pytest.approx(std, rel=max(0.01, 4 / count**0.5)), key
            assert spread == pytest.approx(high - low, rel=0.5), key


def test_losses_and_metric(golden_mamba_va: Path) -> None:
    arrays = numbers(golden_mamba_va, 'losses')
    gold, pred = (arrays[k].view(1, -1, 1) for k in ('gold', 'pred'))
    loss = CCCLoss(unbiased=True)
    pred.requires_grad_()
    value = loss(pred, gold, everything(gold))
    torch.testing.assert_close(value, arrays['loss'], **CLOSE)
    value.backward()
    torch.testing.assert_close(pred.grad.flatten(), arrays['grad_pred'], **CLOSE)
    metric = ccc(arrays['gold'].numpy(), arrays['pred'].numpy())
    assert metric == pytest.approx(arrays['metric'].item(), abs=1e-5)
    # twenty classes of one width
    bins = {'type': 'BinHead', 'in_dim': 4, 'targets': ('valence',), 'layers': [], 'ends': False}
    head = HEADS.build(bins)
    logits = arrays['logits'].view(1, -1, 1, 20).requires_grad_()
    value = BinnedCrossEntropyLoss()(logits, head.classes_of(gold), everything(gold))
    torch.testing.assert_close(value, arrays['loss_ce20'], **CLOSE)
    value.backward()
    torch.testing.assert_close(logits.grad.view(-1, 20), arrays['grad_ce20'], **CLOSE)


@pytest.mark.parametrize('case', ['const_pred', 'const_gold', 'both_const_same', 'zeros', 'one'])
def test_losses_without_variance_have_a_gradient(golden_mamba_va: Path, case: str) -> None:
    """1 where the reference's has a value, and never a gradient that is none, as it has there."""
    n = 1 if case == 'one' else 60
    pred, gold = golden_input('p', (1, n, 1)), golden_input('g', (1, n, 1))
    if case in ('const_pred', 'both_const_same', 'zeros'):
        pred = torch.full_like(pred, 0.0 if case == 'zeros' else 0.3)
    if case in ('const_gold', 'both_const_same', 'zeros'):
        gold = torch.full_like(gold, 0.0 if case == 'zeros' else 0.3)
    pred.requires_grad_()
    value = CCCLoss(unbiased=True)(pred, gold, everything(gold))
    value.backward()
    expected = float(json.loads((golden_mamba_va / 'losses_cases.json').read_text())[case]['loss'])
    assert value.item() == pytest.approx(1.0 if np.isnan(expected) else expected, abs=1e-5)
    assert torch.isfinite(pred.grad).all()
