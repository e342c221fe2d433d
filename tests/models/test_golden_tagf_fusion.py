"""Co-attention and TAGF's gate with the reference's weights give the reference's numbers."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_recipe import fill, golden_input, numbers, parameter_names
from torch import Tensor, nn

from abawfw.models.fusions import CoAttentionFusion
from abawfw.models.fusions.co_attention_fusion import TEMPERATURE
from abawfw.models.layers.cpu.lstm import StepsLSTM

DIMS = {'video': 256, 'audio': 128}
OUTPUTS = {'rtol': 0, 'atol': 1e-5}


def ours(name: str, modalities: list[str]) -> str:
    """Our name of a parameter of the reference's fusion."""
    for i, m in enumerate(modalities):
        name = name.replace(f'linears.{i}.0.', f'outputs.{m}.')
        name = name.replace(f'key{i + 1}_linear', f'keys.{m}').replace(f'value{i + 1}_linear', f'values.{m}')
        name = name.replace(f'{m}_temporal_encoder', f'gates.{m}.lstm')
    name = re.sub(r'^(coattn\.)?dcn_layers', 'steps', name)
    return name.replace('dense_coattn.', '').replace('query_linear', 'joint')


def inputs_of(arrays: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    x = {m: arrays[m] for m in DIMS}
    return x, {m: torch.ones(v.shape[:2], dtype=torch.bool) for m, v in x.items()}


def assert_nearly_all_close(found: Tensor, expected: Tensor) -> None:
    """For inputs not brought to unit length, with which float32 does not give 1e-5 everywhere.

    Computed in float64, a few elements in ten thousand are up to 2.4e-5 from the stored ones.
    """
    difference = (found - expected).abs()
    assert difference.max().item() < 3e-5
    assert (difference > 1e-5).double().mean().item() < 1e-3


def test_dense_co_attention(golden_tagf: Path) -> None:
    arrays = numbers(golden_tagf, 'dense_coattn')
    fusion = CoAttentionFusion(DIMS, length=300, steps=1).eval()
    step = fusion.steps[0]
    weights = fill(parameter_names(golden_tagf)['dense_coattn'], 'DenseCoAttn')
    missing = step.load_state_dict({ours(k, list(DIMS)): v for k, v in weights.items()}, strict=False)
    assert all(k.startswith('outputs.') for k in missing.missing_keys)
    assert missing.unexpected_keys == []
    found = step.attend(*inputs_of(arrays))
    assert_nearly_all_close(found['video'], arrays['weighted1'])
    assert_nearly_all_close(found['audio'], arrays['weighted2'])


def test_every_step(golden_tagf: Path) -> None:
    arrays = numbers(golden_tagf, 'dcn_layer')
    fusion = CoAttentionFusion(DIMS, length=300, states='all').eval()
    weights = fill(parameter_names(golden_tagf)['dcn_layer'], 'DCNLayer')
    fusion.load_state_dict({ours(k, list(DIMS)): v for k, v in weights.items()})
    start, *steps = fusion.run_steps(*inputs_of(arrays))
    for m in DIMS:
        assert torch.equal(start[m], arrays[m])
        for i, step in enumerate(steps, start=1):
            assert_nearly_all_close(step[m], arrays[f'{m}_step{i}'])
    joined = fusion(*inputs_of(arrays))
    expected = [arrays[k] for m in DIMS for k in (m, f'{m}_step1', f'{m}_step2')]
    assert_nearly_all_close(joined, torch.cat(expected, dim=-1))
    assert fusion.out_dim == joined.shape[-1] == 3 * 384


@pytest.mark.parametrize(('name', 'in_dim', 'out_dim'), [('lstm_video', 256, 512), ('lstm_audio', 128, 256)])
def test_lstm_over_steps(golden_tagf: Path, name: str, in_dim: int, out_dim: int) -> None:
    arrays = numbers(golden_tagf, name)
    lstm = StepsLSTM(in_dim, out_dim).eval()
    weights = fill(parameter_names(golden_tagf)[name], name.replace('lstm', 'LSTM'))
    # On its own, not below a name, init_hidden was drawn as any other matrix: z / sqrt(columns), not 0.1 z.
    weights['init_hidden'] *= 10 / in_dim**0.5
    lstm.load_state_dict(weights)
    steps = arrays['x'].unbind(1)
    torch.testing.assert_close(torch.stack(lstm.outputs(steps), 1), arrays['rnn_out'], **OUTPUTS)
    torch.testing.assert_close(torch.stack(lstm(steps), 1), arrays['out'], **OUTPUTS)


def test_lstm_of_two_layers(golden_tagf: Path) -> None:
    """Its numbers are not stored; torch's own LSTM with the recipe's weights stands in."""
    weights = fill(parameter_names(golden_tagf)['lstm_joint2'], 'LSTM_joint2')
    lstm = StepsLSTM(64, 32, layers=2).eval()
    lstm.load_state_dict(weights)
    x = golden_input('lstm_joint2', (4, 7, 64))
    library = nn.LSTM(64, 16, 2, batch_first=True, bidirectional=True)
    library.load_state_dict({k[4:]: v for k, v in weights.items() if k.startswith('rnn.')})
    state = weights['init_hidden'][:, None].repeat(1, 4, 1)
    expected = library(x, (state[:4], state[4:]))[0]
    torch.testing.assert_close(torch.stack(lstm.outputs(x.unbind(1)), 1), expected, **OUTPUTS)
    joined = F.linear(torch.cat([x, expected], -1), weights['linear.weight'], weights['linear.bias'])
    unit = joined / joined.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(torch.stack(lstm(x.unbind(1)), 1), unit, **OUTPUTS)


@pytest.fixture(scope='module')
def tagf(golden_tagf: Path) -> CoAttentionFusion:
    fusion = CoAttentionFusion(DIMS, length=300, states='all', gate='lstm', normalize=True)
    weights = fill(parameter_names(golden_tagf)['tagf'], 'TAGF')
    fusion.load_state_dict({ours(k, list(DIMS)): v for k, v in weights.items()})
    return fusion.eval()


def test_tagf_output_scores_and_weights(golden_tagf: Path, tagf: CoAttentionFusion) -> None:
    arrays = numbers(golden_tagf, 'tagf')
    assert tagf.out_dim == 384
    torch.testing.assert_close(tagf(*inputs_of(arrays)), arrays['out'], **OUTPUTS)
    states = tagf.run_steps(*inputs_of(arrays))
    for m in DIMS:
        stacked = torch.stack([s[m] for s in states], dim=2)[:, :8]
        torch.testing.assert_close(stacked, arrays[f'{m}_steps'], **OUTPUTS)
        scores = tagf.gates[m].scores([s[m] for s in states])
        torch.testing.assert_close(scores, arrays[f'{m}_scores'], **OUTPUTS)
        weights = (scores / TEMPERATURE).softmax(-1)
        torch.testing.assert_close(weights, arrays[f'{m}_weights'], **OUTPUTS)


def gradients(
    tagf: CoAttentionFusion, arrays: dict[str, Tensor], precision: torch.dtype
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Of the golden loss, with respect to inputs and parameters."""
    tagf = copy.deepcopy(tagf).to(precision)
    x, observed = inputs_of({k: v.detach().to(precision) for k, v in arrays.items()})
    for v in x.values():
        v.requires_grad_()
    (tagf(x, observed) * arrays['cotangent']).sum().backward()
    found = {**x, **dict(tagf.named_parameters())}
    grads = {k: v.grad for k, v in found.items() if v.grad is not None}
    return {k: grads.pop(k) for k in x}, grads


def test_tagf_gradients(golden_tagf: Path, tagf: CoAttentionFusion) -> None:
    """In float64: where a ReLU's input is 1e-9, as once here, its gradient is either of two in float32."""
    arrays = numbers(golden_tagf, 'tagf')
    of_inputs, found = gradients(tagf, arrays, torch.float64)
    for m, gradient in of_inputs.items():
        torch.testing.assert_close(gradient.float(), arrays[f'grad_{m}'], rtol=0, atol=1e-6)
    norms = json.loads((golden_tagf / 'tagf_grad_norms.json').read_text())
    assert {ours(k, list(DIMS)) for k in norms} == set(found)
    for key, norm in norms.items():
        assert found[ours(key, list(DIMS))].norm().item() == pytest.approx(norm, rel=1e-4), key
    exact = {**of_inputs, **found}
    for of in gradients(tagf, arrays, torch.float32):
        for key, gradient in of.items():
            assert (gradient - exact[key]).norm() < 5e-3 * exact[key].norm(), key


def test_rjcma_is_the_plain_formula(golden_tagf: Path) -> None:
    """Three modalities, joined as they are. Its numbers are not stored: the formula is written out here."""
    dims = {'video': 256, 'logmel': 128, 'bert': 128}
    weights = fill(parameter_names(golden_tagf)['rjcma_dcn3'], 'RJCMA_DCN3')
    fusion = CoAttentionFusion(dims, joint='raw', length=300).eval()
    used = {k: v for k, v in weights.items() if 'query_linear' not in k}
    fusion.load_state_dict({ours(k, list(dims)): v for k, v in used.items()})
    x = {m: golden_input(f'rjcma_{m}', (2, 300, dim), 0.5) for m, dim in dims.items()}
    observed = {m: torch.ones(2, 300, dtype=torch.bool) for m in dims}
    expected = [v.double().numpy() for v in x.values()]
    for i in range(2):
        joint = np.concatenate(expected, axis=-1)
        after = []
        for n, value in enumerate(expected):

            def parameter(kind: str, i: int = i, n: int = n) -> np.ndarray:
                middle = 'dense_coattn.' if '_linear' in kind else ''
                return weights[f'dcn_layers.{i}.{middle}{kind.format(n=n, m=n + 1)}'].double().numpy()

            kw, kb = parameter('key{m}_linear.weight'), parameter('key{m}_linear.bias')
            vw, vb = parameter('value{m}_linear.weight'), parameter('value{m}_linear.bias')
            ow, ob = parameter('linears.{n}.0.weight'), parameter('linears.{n}.0.bias')
            key = np.einsum('btd,st->bds', value, kw) + kb
            scores = np.tanh(np.einsum('bds,bse->bde', key, joint) / np.sqrt(512))
            weighted = np.maximum(np.tanh(np.einsum('btd,bde->bte', value @ vw.T + vb, scores)), 0)
            after.append(value + np.maximum(weighted @ ow.T + ob, 0))
        expected = after
    found = fusion(x, observed).detach().numpy()
    np.testing.assert_allclose(found, np.concatenate(expected, axis=-1), rtol=0, atol=1e-5)
