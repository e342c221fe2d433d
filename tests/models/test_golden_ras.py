"""The parts of team RAS with the reference's weights give the reference's numbers, and learn as it does."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_recipe import fill, golden_input, parameter_names
from torch import Tensor, nn

from abawfw.models.encoders import AttentionEncoder
from abawfw.models.fusions import DirectedFusion, MixtureOfExpertsFusion
from abawfw.models.heads import RegressionHead
from abawfw.models.layers.positioned_attention import PositionedLayer, positions_like

CLOSE = {'rtol': 0, 'atol': 1e-5}
BOTH = ('valence', 'arousal')
RENAMED = {
    'self_attention.': 'attention.',
    'feed_forward.layer_': 'linear',
    'add_norm_after_attention.norm': 'norm1',
    'add_norm_after_ff.norm': 'norm2',
    'image_proj': 'projection',
    'transformer.': 'layers.',
}


@pytest.fixture(scope='module')
def golden(golden_2025: Path) -> Path:
    return golden_2025 / 'ras'


def numbers(golden: Path, name: str) -> dict[str, Tensor]:
    with np.load(golden / f'{name}.npz') as arrays:
        return {k: torch.from_numpy(v) for k, v in arrays.items()}


def ours(name: str) -> str:
    """Our name of a parameter of the reference."""
    for theirs, here in RENAMED.items():
        name = name.replace(theirs, here)
    return name


def named(names: Iterable[str]) -> dict[str, str]:
    """Our name of each parameter of the reference; a head of its own is ``hidden`` and ``out``."""
    names = list(names)
    last = max((n.rpartition('.')[0] for n in names if n.startswith('head.')), default='')
    return {n: ours(n.replace(last, 'out', 1) if last else n).replace('head.', 'hidden.') for n in names}


def loaded(golden: Path, name: str, *parts: nn.Module) -> None:
    """The reference's weights into a model, and into its head if there is one."""
    shapes = parameter_names(golden)[name]
    weights = {named(shapes)[k]: v for k, v in fill(shapes, name).items()}
    own = [part.state_dict().keys() for part in parts]
    assert weights.keys() == set().union(*own)
    for part, keys in zip(parts, own, strict=True):
        part.load_state_dict({k: weights[k] for k in keys})
        part.eval()


def assert_norms(golden: Path, name: str, *parts: nn.Module) -> None:
    """The lengths of the gradients of all parameters are the reference's."""
    expected = json.loads((golden / 'grad_norms.json').read_text())[name]
    found = {k: p.grad for part in parts for k, p in part.named_parameters()}
    assert found.keys() == set(named(expected).values())
    for theirs, here in named(expected).items():
        assert found[here].norm().item() == pytest.approx(expected[theirs], rel=1e-4, abs=1e-5), theirs


def mlp(width: int, norm: str = 'each') -> RegressionHead:
    return RegressionHead(width, BOTH, layers=[width], activation='gelu', norm=norm)


def test_positions(golden: Path) -> None:
    arrays = numbers(golden, 'positions')
    torch.testing.assert_close(positions_like(torch.zeros(1, 40, 16)), arrays['table_40x16'], **CLOSE)
    table = positions_like(torch.zeros(1, 400, 256))[[0, 1, 399]]
    torch.testing.assert_close(table, arrays['table_rows_0_1_399_x_256'], **CLOSE)


@pytest.mark.parametrize('name', ['encoder_layer', 'encoder_layer_self'])
def test_a_layer(golden: Path, name: str) -> None:
    arrays = numbers(golden, name)
    layer = PositionedLayer(16, 4, 0.1)
    loaded(golden, name, layer)
    x = {m: arrays[m].requires_grad_() for m in 'qkv' if m in arrays}
    out = layer(x['q'], x.get('k', x['q']), x.get('v', x['q']), arrays['mask'])
    torch.testing.assert_close(out, arrays['out'], **CLOSE)
    (out * arrays['R']).sum().backward()
    for m, values in x.items():
        torch.testing.assert_close(values.grad, arrays[f'grad_in_{m}'], **CLOSE)
    assert_norms(golden, name, layer)


@pytest.mark.parametrize(('name', 'sizes'), [('visual_small', (10, 16, 2, 4)), ('visual_full', (256,) * 2)])
def test_visual_model(golden: Path, name: str, sizes: tuple[int, ...]) -> None:
    arrays = numbers(golden, name)
    encoder, head = AttentionEncoder(*sizes), mlp(sizes[1])
    loaded(golden, name, encoder, head)
    x = arrays['x'] if 'x' in arrays else golden_input(name, (2, 100, 256))
    cotangent = arrays['R'] if 'R' in arrays else golden_input(f'{name}:R', (2, 100, 2))
    x.requires_grad_()
    # padding holds something in the reference, and has outputs, which are compared as well
    embedding = head.hidden(encoder.attend(encoder.projection(x), arrays['mask']))
    out = head.out(embedding)
    torch.testing.assert_close(out, arrays['out'], **CLOSE)
    expected = arrays['emb'] if 'emb' in arrays else arrays['emb_frames']
    torch.testing.assert_close(embedding[:, :: 1 if 'emb' in arrays else 25], expected, **CLOSE)
    (out * cotangent).sum().backward()
    if 'grad_in_x' in arrays:
        torch.testing.assert_close(x.grad, arrays['grad_in_x'], **CLOSE)
    assert_norms(golden, name, encoder, head)
    valid = arrays['mask']
    torch.testing.assert_close(head(encoder(x, valid), valid).va[valid], arrays['out'][valid], **CLOSE)
    if name == 'visual_full':
        assert sum(p.numel() for part in (encoder, head) for p in part.parameters()) == 2112002


DIRECTIONS = {
    'fusion_directed': ('face', 'llm', 'llm'),
    'fusion_mean': ('fusion', 'fusion', 'fusion'),
    'fusion_mixed': ('face', 'face', 'fusion'),
}
DIMS = {'face': 10, 'llm': 7, 'audio': 5}


@pytest.mark.parametrize('name', DIRECTIONS)
def test_directed_fusion(golden: Path, name: str) -> None:
    arrays = numbers(golden, name)
    x = {m: arrays[f'x_{m}'].requires_grad_() for m in DIMS if f'x_{m}' in arrays}
    fusion = DirectedFusion({m: DIMS[m] for m in x}, *DIRECTIONS[name], dim=16, layers=2, heads=4)
    head = RegressionHead(16, BOTH, layers=[]) if name == 'fusion_mean' else mlp(16)
    loaded(golden, name, fusion, head)
    valid = arrays.get('mask', torch.ones(2, 40, dtype=torch.bool))
    seen = dict.fromkeys(x, valid)
    fused = fusion.attend({m: fusion.projections[m](v) for m, v in x.items()}, seen)
    torch.testing.assert_close(fused, arrays['backbone'], **CLOSE)
    embedding = head.hidden(fused)
    torch.testing.assert_close(embedding, arrays['emb'], **CLOSE)
    out = head.out(embedding)
    torch.testing.assert_close(out, arrays['out'], **CLOSE)
    (out * arrays['R']).sum().backward()
    for m, values in x.items():
        torch.testing.assert_close(values.grad, arrays[f'grad_in_{m}'], **CLOSE)
    assert_norms(golden, name, fusion, head)
    torch.testing.assert_close(head(fusion(x, seen), valid).va[valid], arrays['out'][valid], **CLOSE)


def test_directed_fusion_of_full_size(golden: Path) -> None:
    name, arrays = 'fusion_full', numbers(golden, 'fusion_full')
    names = ('face_features', 'llm_multimodal_featuress')
    fusion, head = DirectedFusion(dict.fromkeys(names, 258), names[0], names[1], names[1]), mlp(256)
    loaded(golden, name, fusion, head)
    x = {m: golden_input(f'{name}:{m}', (2, 100, 258)) for m in names}
    valid = arrays['mask']
    fused = fusion.attend({m: fusion.projections[m](v) for m, v in x.items()}, dict.fromkeys(x, valid))
    embedding = head.hidden(fused)
    out = head.out(embedding)
    torch.testing.assert_close(out, arrays['out'], **CLOSE)
    torch.testing.assert_close(embedding[:, ::25], arrays['emb_frames'], **CLOSE)
    (out * golden_input(f'{name}:R', (2, 100, 2))).sum().backward()
    assert_norms(golden, name, fusion, head)
    assert sum(p.numel() for part in (fusion, head) for p in part.parameters()) == 2179330


def test_mixture_of_experts(golden: Path) -> None:
    name, arrays = 'dcmmoe_composed', numbers(golden, 'dcmmoe_composed')
    fusion, head = MixtureOfExpertsFusion(DIMS, dim=16, layers=2, heads=4), mlp(16)
    loaded(golden, name, fusion, head)
    x = {m: arrays[f'x_{m}'].requires_grad_() for m in DIMS}
    seen = dict.fromkeys(x, arrays['mask'])
    streams = {m: fusion.projections[m](v) for m, v in x.items()}
    expert = fusion.expert('face', 'llm', streams, seen)
    torch.testing.assert_close(expert, arrays['expert0'], **CLOSE)
    torch.testing.assert_close(fusion.weights(streams, seen), arrays['gate_weights'], **CLOSE)
    mixed = fusion.mix(streams, seen)
    torch.testing.assert_close(mixed, arrays['mixed'], **CLOSE)
    out = head.out(head.hidden(mixed))
    torch.testing.assert_close(out, arrays['out'], **CLOSE)
    (out * arrays['R']).sum().backward()
    for m, values in x.items():
        torch.testing.assert_close(values.grad, arrays[f'grad_in_{m}'], **CLOSE)
    assert_norms(golden, name, fusion, head)
    found = head(fusion(x, seen), arrays['mask']).va
    torch.testing.assert_close(found[arrays['mask']], arrays['out'][arrays['mask']], **CLOSE)
