"""GRJCA and HGRJCA with the reference's weights give the reference's numbers, and learn as it does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from golden_recipe import fill, golden_input, numbers, parameter_names
from torch import Tensor

from abawfw.apis.build import model_config
from abawfw.config.loading import load_config, resolve
from abawfw.models.convert.tagf import convert_tagf
from abawfw.models.fusions import CoAttentionFusion
from abawfw.models.losses import WindowCCCLoss
from abawfw.registry import MODELS

CLOSE = {'rtol': 0, 'atol': 1e-5}
GATES = {'grjca': 'linear', 'hgrjca': 'hierarchical'}
LAYERS = {'': 'score', '_stage1': 'upto.0.score', '_stage2': 'upto.1.score', '_stage': 'over.score'}


@pytest.fixture(scope='module')
def golden(golden_2025: Path) -> Path:
    return golden_2025 / 'grjca'


def ours(name: str) -> str:
    """Our name of a parameter of the reference's fusion."""
    for i, m in enumerate(('video', 'audio')):
        name = name.replace(f'linears.{i}.0.', f'outputs.{m}.')
        name = name.replace(f'key{i + 1}_linear', f'keys.{m}').replace(f'value{i + 1}_linear', f'values.{m}')
    if gate := re.fullmatch(r'(\w+?)_gating_fc_layer(\w*)\.(.+)', name):
        return f'gates.{gate[1]}.{LAYERS[gate[2]]}.{gate[3]}'
    name = re.sub(r'^(coattn\.)?dcn_layers', 'steps', name)
    return name.replace('dense_coattn.', '').replace('query_linear', 'joint')


def fusion_of(golden: Path, name: str, dims: dict[str, int], length: int) -> CoAttentionFusion:
    gate = GATES[name.split('_')[0]]
    fusion = CoAttentionFusion(dims, length=length, states='all', gate=gate, normalize=True)
    weights = fill(parameter_names(golden)[name], name)
    fusion.load_state_dict({ours(k): v for k, v in weights.items()})
    return fusion.eval()


def gradients(
    fusion: CoAttentionFusion, x: dict[str, Tensor], cotangent: Tensor
) -> tuple[Tensor, dict[str, Tensor], dict[str, float]]:
    """Output, gradients of the inputs, and lengths of those of the parameters."""
    x = {m: v.clone().requires_grad_() for m, v in x.items()}
    out = fusion(x, {m: torch.ones(v.shape[:2], dtype=torch.bool) for m, v in x.items()})
    (out * cotangent).sum().backward()
    norms = {k: p.grad.norm().item() for k, p in fusion.named_parameters() if p.grad is not None}
    return out.detach(), {m: v.grad for m, v in x.items() if v.grad is not None}, norms


def assert_norms(golden: Path, name: str, found: dict[str, float], start: str = '') -> None:
    expected = json.loads((golden / 'grad_norms.json').read_text())[name]
    expected.pop('unused', None)
    named = {ours(k): v for k, v in expected.items()}
    assert named.keys() == found.keys()
    for key, norm in named.items():
        assert found[key] == pytest.approx(norm, rel=1e-4, abs=1e-5), key


def test_dense_co_attention(golden: Path) -> None:
    arrays = numbers(golden, 'dense_coattn_small')
    step = CoAttentionFusion({'video': 12, 'audio': 8}, length=40, steps=1).eval().steps[0]
    weights = fill(parameter_names(golden)['dense_coattn_small'], 'dense_coattn_small')
    step.load_state_dict({ours(k): v for k, v in weights.items()}, strict=False)
    x = {m: arrays[m].requires_grad_() for m in ('video', 'audio')}
    found = step.attend(x, {m: torch.ones(2, 40, dtype=torch.bool) for m in x})
    for m, expected in zip(x, ('weighted1', 'weighted2'), strict=True):
        torch.testing.assert_close(found[m], arrays[expected], **CLOSE)
    (found['video'] * arrays['R1'] + found['audio'] * arrays['R2']).sum().backward()
    for m, values in x.items():
        torch.testing.assert_close(values.grad, arrays[f'grad_in_{m}'], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('name', ['grjca_small', 'hgrjca_small'])
def test_small(golden: Path, name: str) -> None:
    arrays = numbers(golden, name)
    fusion = fusion_of(golden, name, {'video': 12, 'audio': 8}, 40)
    x = {m: arrays[m] for m in ('video', 'audio')}
    out, of_inputs, norms = gradients(fusion, x, arrays['R'])
    torch.testing.assert_close(out, arrays['out'], **CLOSE)
    for m, gradient in of_inputs.items():
        torch.testing.assert_close(gradient, arrays[f'grad_in_{m}'], **CLOSE)
    assert_norms(golden, name, norms)
    with torch.no_grad():
        states = fusion.run_steps(x, {m: torch.ones(2, 40, dtype=torch.bool) for m in x})
    for m in x:
        for i in (1, 2):
            torch.testing.assert_close(states[i][m], arrays[f'{m}_step{i}'], **CLOSE)
        gate = fusion.gates[m]
        gates = {'': gate} if name == 'grjca_small' else {'_stage1': gate.upto[0], '_stage2': gate.upto[1]}
        last = {'_stage1': 1}
        if name == 'hgrjca_small':
            gates['_stage'] = gate.over
        for end, part in gates.items():
            weights = part.weights(states[last.get(end, 2)][m])
            torch.testing.assert_close(weights, arrays[f'weights_{m}{end}'], **CLOSE)


@pytest.mark.parametrize('name', ['grjca_full', 'hgrjca_full'])
def test_full_size(golden: Path, name: str) -> None:
    arrays = numbers(golden, name)
    fusion = fusion_of(golden, name, {'video': 256, 'audio': 128}, 300)
    x = {m: golden_input(f'{name}:{m}', (2, 300, dim)) for m, dim in (('video', 256), ('audio', 128))}
    out, of_inputs, norms = gradients(fusion, x, golden_input(f'{name}:R', (2, 300, 384)))
    torch.testing.assert_close(out[:, arrays['frames']], arrays['out_frames'], **CLOSE)
    torch.testing.assert_close(out.norm(dim=-1), arrays['out_norm'], **CLOSE)
    for m, gradient in of_inputs.items():
        torch.testing.assert_close(gradient.norm(dim=-1), arrays[f'grad_{m}_norm'], rtol=1e-4, atol=1e-5)
    assert_norms(golden, name, norms)
    assert sum(p.numel() for p in fusion.parameters()) == {'grjca': 1118326, 'hgrjca': 1119870}[name[:-5]]


SMALL = {'video_channels': [14, 14, 12, 12], 'audio_channels': [8] * 4, 'regressor': [17], 'window': 40}
DIMS = {'estimator_small': {'video': 16, 'logmel': 8}, 'estimator_full': {'video': 512, 'logmel': 128}}


@pytest.mark.parametrize(('name', 'overrides'), [('estimator_small', SMALL), ('estimator_full', {})])
def test_a_converted_checkpoint(golden: Path, tmp_path: Path, name: str, overrides: dict) -> None:
    """With what the reference has and does not use, its names are those of a checkpoint."""
    torch.save(fill(parameter_names(golden)[name], name), tmp_path / 'model_state_dict.pth')
    cfg = load_config('grjca/grjca_embeddings_affwild2.py', {'targets': ['valence'], **overrides})
    resolved = resolve(cfg)
    found = convert_tagf(
        tmp_path / 'model_state_dict.pth', 'grjca', resolved.to_dict()['model'], resolved.features
    )
    model = MODELS.build(model_config(resolved, found.input_dims))
    model.load_state_dict(found.weights)
    arrays = numbers(golden, name)
    x = {
        f'{"video" if m == "video" else "audio"}_embedding': arrays[f'x_{m}'].requires_grad_()
        if f'x_{m}' in arrays
        else golden_input(f'{name}:{m}', (2, 300, dim))
        for m, dim in DIMS[name].items()
    }
    out = model.eval()(x).va
    torch.testing.assert_close(out, arrays['out'], **CLOSE)
    if name == 'estimator_small':
        (out * arrays['R']).sum().backward()
        for values, m in zip(x.values(), DIMS[name], strict=True):
            torch.testing.assert_close(values.grad, arrays[f'grad_in_{m}'], **CLOSE)
        assert found.left_out['encoded and discarded by the reference'][0].startswith('temporal.bert')


def test_loss(golden: Path) -> None:
    arrays = numbers(golden, 'loss')
    pred = arrays['pred'].requires_grad_()
    loss = WindowCCCLoss()(pred, arrays['gold'], torch.ones(pred.shape[:2], dtype=torch.bool))
    loss.backward()
    torch.testing.assert_close(loss.detach(), arrays['loss'])
    torch.testing.assert_close(pred.grad, arrays['grad_pred'], rtol=1e-4, atol=1e-7)
