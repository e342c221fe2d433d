"""The parts of team RAS with the reference's weights give the reference's numbers, and learn as it does."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_recipe import fill, golden_input, numbers, parameter_names
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from abawfw.apis.build import model_config
from abawfw.config.loading import load_config, resolve
from abawfw.errors import CheckpointError, ConfigError
from abawfw.models.contexts import PreNormEncoderContext
from abawfw.models.convert.ras import convert_ras
from abawfw.models.encoders import AttentionEncoder, AttentionPooling
from abawfw.models.fusions import DirectedFusion, MixtureOfExpertsFusion, ReliabilityFusion
from abawfw.models.heads import RegressionHead
from abawfw.models.layers.positioned_attention import PositionedLayer, positions_like
from abawfw.models.losses import CCCLoss, MSELoss, SmoothnessLoss, VALoss, WindowCCCLoss
from abawfw.registry import MODELS
from abawfw.structures.va_batch import Frames

CLOSE = {'rtol': 0, 'atol': 1e-5}
BOTH = ('valence', 'arousal')
RENAMED = {
    'self_attention.': 'attention.',
    'feed_forward.layer_': 'linear',
    'add_norm_after_attention.norm': 'norm1',
    'add_norm_after_ff.norm': 'norm2',
    'image_proj': 'projection',
    'transformer.': 'layers.',
    'temporal_encoder.layers.': 'layers.',
    'frame_projectors.': 'projections.',
    'frame_gate_mlps.': 'scores.',
    'audio_projector.': 'projection.',
    'audio_latent_attn.': 'to_tokens.',
    'frame_to_audio_attn.': 'to_latents.',
    'norm_frame_pre.': 'norm_frames.',
    'norm_audio_latents.': 'norm_latents.',
    'norm_after_audio.': 'norm.',
    'audio_latents': 'latents',
}


@pytest.fixture(scope='module')
def golden(golden_2025: Path) -> Path:
    return golden_2025 / 'ras'


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


def assert_gradients(golden: Path, name: str, x: dict[str, Tensor], *parts: nn.Module) -> None:
    """Those of the inputs are the reference's, and so are the lengths of those of the parameters."""
    arrays = numbers(golden, name)
    for m, values in x.items():
        torch.testing.assert_close(values.grad, arrays[f'grad_in_{m}'], **CLOSE)
    assert_norms(golden, name, *parts)


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
    assert_gradients(golden, name, x, layer)


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
    assert_gradients(golden, name, x, fusion, head)
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
    assert_gradients(golden, name, x, fusion, head)
    found = head(fusion(x, seen), arrays['mask']).va
    torch.testing.assert_close(found[arrays['mask']], arrays['out'][arrays['mask']], **CLOSE)


@pytest.mark.parametrize('case', ['stats', 'stats_nomask', 'mean', 'mean_nomask'])
def test_attention_pooling_of_a_whole_window(golden: Path, case: str) -> None:
    arrays, pooling = numbers(golden, 'attention_pooling'), pooling_of(golden, 23)
    x, mask = arrays['x'].requires_grad_(), arrays['mask'].bool()
    found = pooling(x, torch.ones_like(mask) if 'nomask' in case else mask)
    assert (found == found[:, :1]).all()
    found = found[:, 0, : None if 'stats' in case else 8]
    torch.testing.assert_close(found, arrays[f'out_{case}'], **CLOSE)
    if f'grad_in_x_{case}' in arrays:
        (found * arrays[f'R_{case}']).sum().backward()
        torch.testing.assert_close(x.grad, arrays[f'grad_in_x_{case}'], **CLOSE)


@pytest.mark.parametrize('case', ['chunks', 'chunks_short'])
def test_attention_pooling_of_parts(golden: Path, case: str) -> None:
    """The reference's four parts of 23 frames, cut by hand; one of which nothing was seen gives zeros."""
    arrays = numbers(golden, 'attention_pooling')
    mask = arrays['mask' if case == 'chunks' else 'mask_short'].bool()
    for i, (start, stop) in enumerate(pairwise(arrays['cuts'].tolist())):
        x, seen = arrays['x'][:, start:stop], mask[:, start:stop]
        found = pooling_of(golden, stop - start)(x, seen)[:, 0]
        some = seen.any(1)
        torch.testing.assert_close(found[some], arrays[case][some, i], **CLOSE)
        assert not found[~some].any()


def test_attention_pooling_cuts_parts_of_equal_length(golden: Path) -> None:
    arrays, pooling = numbers(golden, 'attention_pooling'), pooling_of(golden, 9)
    x, mask = arrays['x'], arrays['mask'].bool()
    whole = pooling(x, mask)
    for start, stop in ((0, 9), (9, 18), (18, 23)):
        part = pooling(x[:, start:stop], mask[:, start:stop])
        torch.testing.assert_close(whole[:, start:stop], part, **CLOSE)
        assert (whole[:, start:stop] == whole[:, start : start + 1]).all()


def pooling_of(golden: Path, frames: int) -> AttentionPooling:
    pooling = AttentionPooling(8, frames, hidden=6).eval()
    weights = fill(parameter_names(golden)['attention_pooling'], 'attention_pooling')
    pooling.load_state_dict({k.replace('proj.', 'scores.'): v for k, v in weights.items()})
    return pooling


def test_head_of_the_audio_branch(golden: Path) -> None:
    """That of RAAV, with an embedding of another length than its input."""
    arrays = numbers(golden, 'attention_pooling')
    head = RegressionHead(16, BOTH, layers=[10], activation='gelu', norm='first').eval()
    weights = fill(parameter_names(golden)['attention_pooling_head'], 'attention_pooling_head')
    places = {'0': 'hidden.0', '2': 'hidden.1', '5': 'out'}
    head.load_state_dict({f'{places[k[0]]}{k[1:]}': v for k, v in weights.items()})
    embedding = head.hidden(arrays['chunks'])
    torch.testing.assert_close(embedding, arrays['head_features'], **CLOSE)
    torch.testing.assert_close(head.out(embedding), arrays['head_out'], **CLOSE)


PRIORS = {'face': 0.85, 'qwen_mm': 0.15}
RATES = {'raav_small': (10, 7, 9), 'raav_full': (256, 256, 256)}


def raav(golden: Path, name: str) -> tuple[ReliabilityFusion, PreNormEncoderContext, RegressionHead]:
    sizes = dict(zip([*PRIORS, 'audio'], RATES[name], strict=True))
    dims, full = {m: size + 2 for m, size in sizes.items()}, name == 'raav_full'
    width, heads = (256, 4) if full else (16, 2)
    fusion = ReliabilityFusion(dims, PRIORS, 'audio', width, heads, normalize_all=False)
    context = PreNormEncoderContext(width, 1, heads, 4 * width, position=False)
    head = mlp(width, 'first')
    loaded(golden, name, fusion, context, head)
    return fusion, context, head


def raav_inputs(arrays: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Embeddings and predictions of each modality, ``<modality>_<part>``; the rows of audio are tokens."""
    x = {}
    for m, size in zip([*PRIORS, 'audio'], RATES[name], strict=True):
        for part, dim, scale in (('embedding', size, 1.0), ('prediction', 2, 0.3)):
            shape = (2, 4 if m == 'audio' else 100, dim)
            key = f'{m}_{part}'
            x[key] = arrays[key] if key in arrays else golden_input(f'{name}:{key}', shape, scale)
    return {k: v.requires_grad_() for k, v in x.items()}


def over_frames(tokens: Tensor, frames: int) -> Tensor:
    """Four tokens, each repeated for another number of frames."""
    return tokens.repeat_interleave(torch.tensor([5, 20, 9, frames - 34]), dim=1)


@pytest.mark.parametrize('name', RATES)
def test_raav(golden: Path, name: str) -> None:
    arrays = numbers(golden, name)
    fusion, context, head = raav(golden, name)
    parts = raav_inputs(arrays, name)
    x = {m: torch.cat([parts[f'{m}_embedding'], parts[f'{m}_prediction']], -1) for m in fusion.names}
    valid = arrays['seq_mask']
    # in the reference audio and padding have nothing to do with each other
    frames = valid.shape[1]
    tokens = torch.cat([parts['audio_embedding'], parts['audio_prediction']], -1)
    heard = over_frames(arrays['audio_mask'][..., None], frames)[..., 0]
    audio = over_frames(tokens, frames)
    seen = {m: arrays.get(f'valid_{m}', valid) & valid for m in x}
    out = fusion({**x, 'audio': audio}, {**seen, 'audio': heard})
    embedding = context(out, valid).masked_fill(~valid[..., None], 0)
    pred = head.out(head.hidden(embedding))
    torch.testing.assert_close(pred, arrays['preds'], **CLOSE)
    priors = torch.tensor([fusion.log_priors[m] for m in fusion.names])
    torch.testing.assert_close(priors, arrays['log_priors'], **CLOSE)
    cotangent = arrays['R'] if 'R' in arrays else golden_input(f'{name}:R', tuple(pred.shape))
    (pred * cotangent).sum().backward()
    assert_norms(golden, name, fusion, context, head)
    if name == 'raav_small':
        for key, values in parts.items():
            torch.testing.assert_close(values.grad, arrays[f'grad_in_{key}'], **CLOSE)
        torch.testing.assert_close(embedding, arrays['embs'], **CLOSE)
        vectors = fusion.vectors(x, seen)
        weights = fusion.weights(vectors, torch.stack(list(seen.values()), -1))
        torch.testing.assert_close(weights[valid], arrays['gate_weights'][valid], **CLOSE)
        token = (weights[..., None] * vectors).sum(-2)
        torch.testing.assert_close(token[valid], arrays['frame_tokens'][valid], **CLOSE)
        with_audio = arrays['audio_mask'].any(1)
        latents = fusion.summed_up(audio, heard)
        torch.testing.assert_close(latents[with_audio], arrays['audio_latents'][with_audio], **CLOSE)
        after = fusion.listen(token, audio, heard)
        shown = valid & torch.stack(list(seen.values())).any(0)
        torch.testing.assert_close(after[shown], arrays['after_audio'][shown], **CLOSE)
    else:
        sizes = [p.numel() for part in (fusion, context, head) for p in part.parameters()]
        assert sum(sizes) == 1716484


WEIGHED = {
    'plain': [WindowCCCLoss(biased=True)],
    'masked': [WindowCCCLoss(biased=True)],
    'weighted': [
        WindowCCCLoss(biased=True, targets=[t], weight=w / 2) for t, w in zip(BOTH, (0.7, 0.3), strict=True)
    ],
}


@pytest.mark.parametrize('case', WEIGHED)
def test_window_ccc(golden: Path, case: str) -> None:
    """A window without counted frames adds a constant 1 to the reference's mean and nothing to ours."""
    arrays = numbers(golden, 'losses')
    valid = torch.ones_like(arrays['valid']) if case == 'plain' else arrays['valid']
    losses = WEIGHED[case]
    pred = arrays['pred'].requires_grad_()
    columns = [slice(None)] if len(losses) == 1 else [slice(0, 1), slice(1, 2)]
    found = sum(
        loss(pred[..., c], arrays['gold'][..., c], valid) for loss, c in zip(losses, columns, strict=True)
    )
    found.backward()
    windows = valid.any(1).float().mean()
    total = 1.0 if case != 'weighted' else 0.5
    expected = windows * found.detach() + (1 - windows) * total
    torch.testing.assert_close(expected, arrays[f'window_ccc_{case}'].float(), **CLOSE)
    torch.testing.assert_close(windows * pred.grad, arrays[f'grad_window_ccc_{case}'], **CLOSE)


def test_batch_ccc_error_and_smoothness(golden: Path) -> None:
    """A frame with one label of two does not count in the reference; here its one label does."""
    arrays = numbers(golden, 'losses')
    label = arrays['targets']
    known = (label != -5).all(-1) & ~label.isnan().any(-1)
    pred = arrays['pred'].requires_grad_()
    ccc, mse = CCCLoss(), MSELoss('mean')

    def found(mask: Tensor, factor: float) -> Tensor:
        each = [w * ccc(pred[..., [i]], label[..., [i]], mask) for i, w in enumerate((0.7, 0.3))]
        return each[0] + each[1] + factor * mse(pred, label, mask)

    audio, frames = found(known, 0.1), known & arrays['seq_mask']
    mm = found(frames, 0.01)
    smooth = SmoothnessLoss(2)
    steps = [smooth(pred[..., [i]], label[..., [i]], frames) for i in (0, 1)]
    cases = {
        'mm': mm,
        'audio': audio,
        # summed over the two targets, where ours is their mean; .5 is the term's weight
        'audio_smooth_l1': audio + 0.5 * 2 * SmoothnessLoss(1)(pred, label, known),
        'audio_smooth_l2': audio + 0.5 * 2 * smooth(pred, label, known),
        'mm_smooth': mm + 0.5 * (steps[0] + 2 * steps[1]) / 3,
    }
    for case, total in cases.items():
        torch.testing.assert_close(total.detach(), arrays[f'ccc_mse_{case}'].float(), **CLOSE)
        gradient = torch.autograd.grad(total, pred, retain_graph=True)[0]
        torch.testing.assert_close(gradient, arrays[f'grad_ccc_mse_{case}'], **CLOSE)


def test_error_alone_of_a_batch_with_few_labels(golden: Path) -> None:
    """Below four labelled frames the reference's sum of CCC and error is the error; here both stay."""
    arrays = numbers(golden, 'losses')
    label, pred = arrays['targets_few'], arrays['pred'].requires_grad_()
    known = (label != -5).all(-1) & ~label.isnan().any(-1) & arrays['seq_mask']
    assert known.sum() == 3
    loss = MSELoss('mean')(pred, label, known)
    torch.testing.assert_close(loss.detach(), arrays['ccc_mse_mm_few'].float(), **CLOSE)
    loss.backward()
    torch.testing.assert_close(pred.grad, arrays['grad_ccc_mse_mm_few'], **CLOSE)


def test_unbiased_ccc_of_the_behaviour_model(golden: Path) -> None:
    arrays = numbers(golden, 'losses')
    pred = arrays['pred'].requires_grad_()
    loss = CCCLoss(unbiased=True)(pred, arrays['gold'], arrays['valid'])
    torch.testing.assert_close(loss.detach(), arrays['behaviour_ccc'].float(), **CLOSE)
    loss.backward()
    torch.testing.assert_close(pred.grad[arrays['valid']], arrays['grad_behaviour_ccc'], **CLOSE)


@pytest.mark.parametrize('loss', [WindowCCCLoss(biased=True), MSELoss('mean'), SmoothnessLoss(1)])
def test_a_batch_without_labels_can_go_backward(loss: VALoss) -> None:
    pred = torch.randn(2, 6, 2, requires_grad=True)
    found = loss(pred, torch.full((2, 6, 2), torch.nan), torch.ones(2, 6, dtype=torch.bool))
    found.backward()
    assert found.item() == 0
    assert (pred.grad == 0).all()


NARROW = {'hidden': 16, 'heads': 4, 'layers': 2}
FACE_BEHAVIOUR = {'face': 'face', 'llm': 'behaviour', 'audio': 'audio'}
CHECKPOINTS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    'visual_small': ('visual', NARROW, {'': 'face'}),
    'fusion_directed': ('directed', NARROW, {'face': 'face', 'llm': 'behaviour'}),
    'dcmmoe_composed': ('dcmmoe', NARROW, FACE_BEHAVIOUR),
    'raav_small': (
        'raav_reference',
        {'hidden': 16, 'heads': 2, 'ffn': 64},
        {'face': 'face', 'qwen_mm': 'behaviour', 'audio': 'audio'},
    ),
}


def converted(golden: Path, folder: Path, name: str, **changes: Any) -> Any:
    """The estimator of a shipped config with the reference's weights, through a checkpoint."""
    config, values, modalities = CHECKPOINTS[name]
    weights = fill(parameter_names(golden)[name], name)
    weights['transformer.0.positional_encoding.pe'] = positions_like(torch.zeros(1, 9, 16))
    if name == 'raav_small':
        weights['modality_log_priors'] = numbers(golden, name)['log_priors']
    torch.save(weights, folder / 'best.pt')
    overrides = {'features': list(modalities.values()), **values, **changes}
    resolved = resolve(load_config(f'ras/{config}_affwild2.py', overrides))
    found = convert_ras(folder / 'best.pt', resolved.to_dict()['model'], resolved.features)
    assert list(found.left_out) == ['a table of positions, which follows from its size']
    model = MODELS.build(model_config(resolved, found.input_dims))
    model.load_state_dict(found.weights)
    return model.eval()


@pytest.mark.parametrize('name', CHECKPOINTS)
def test_a_converted_checkpoint(golden: Path, tmp_path: Path, name: str) -> None:
    arrays = numbers(golden, name)
    model = converted(golden, tmp_path, name)
    modalities = CHECKPOINTS[name][2]
    if name == 'raav_small':
        parts = raav_inputs(arrays, name)
        x = {m: torch.cat([parts[f'{m}_embedding'], parts[f'{m}_prediction']], -1) for m in modalities}
        valid = arrays['seq_mask']
        x['audio'] = over_frames(x['audio'], 50)
        seen = {m: arrays[f'valid_{m}'] & valid for m in PRIORS}
        seen['audio'] = over_frames(arrays['audio_mask'][..., None], 50)[..., 0]
    else:
        x = {m: arrays[f'x_{m}'.rstrip('_')] for m in modalities}
        valid = arrays['mask']
        seen = dict.fromkeys(x, valid)
    inputs = {here: x[m].detach() for m, here in modalities.items()}
    frames = Frames(valid, torch.stack([seen[m] for m in modalities], -1))
    with torch.no_grad():
        output = model.step(inputs, frames, [])[0].va
    expected = arrays['preds' if name == 'raav_small' else 'out']
    torch.testing.assert_close(output[valid], expected[valid], **CLOSE)


OF_FUSION = {'batch': 8, 'epochs': 100, 'patience': 15, 'seed': 42, 'window': (400, 150), 'max_norm': None}
OF_RAAV = {'batch': 8, 'epochs': 50, 'patience': 6, 'seed': 0, 'window': (120, 60), 'max_norm': 1.0}


@pytest.mark.parametrize('name', CHECKPOINTS)
def test_training_is_the_reference_s(golden: Path, tmp_path: Path, name: str) -> None:
    """After RAAV's clipping the gradients of all its parameters together have a norm of 1."""
    model = converted(golden, tmp_path, name)
    config = CHECKPOINTS[name][0]
    cfg, of_raav = resolve(load_config(f'ras/{config}_affwild2.py')), name == 'raav_small'
    with DefaultScope.overwrite_default_scope('abawfw'):
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper.to_dict())
    clips = cfg.train_dataloader.dataset.clips
    found = {
        'batch': cfg.train_dataloader.sampler.batch_size,
        'epochs': cfg.train_cfg.max_epochs,
        'patience': next(hook.patience for hook in cfg.custom_hooks if hook.type == 'EarlyStopHook'),
        'seed': cfg.randomness.seed,
        'window': (clips.length, clips.hop),
        'max_norm': wrapper.max_norm,
    }
    assert found == (OF_RAAV if of_raav else OF_FUSION)
    for group in wrapper.optimizer.param_groups:
        assert (group['lr'], group['weight_decay']) == (5e-5 if of_raav else 1e-4, 0.01)
    schedules = [(s.type, s.factor, s.patience, s.get('lowest', 0)) for s in cfg.param_scheduler]
    assert schedules == ([] if of_raav else [('WarmupPlateauLR', 0.1, 5, 0)])
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    wrapper.step()
    norm = torch.cat([p.grad.flatten() for p in model.parameters()]).norm().item()
    free = sum(p.numel() for p in model.parameters()) ** 0.5
    assert norm == pytest.approx(1.0 if of_raav else free, rel=1e-5)


@pytest.mark.parametrize(
    ('name', 'changes', 'error', 'message'),
    [
        (
            'fusion_directed',
            {'features': ['face']},
            CheckpointError,
            'in this order, face, llm, those of the',
        ),
        ('raav_small', {'priors.face': 0.5}, CheckpointError, r'its priors are 0.85, 0.15, those of'),
        (
            'raav_small',
            {'repaired': True},
            ConfigError,
            r'fusion\.normalize_all=True and model\.context\[0\]\.position=True: .*raav_reference_\*\.py',
        ),
        ('raav_small', {'model.fusion.normalize_all': True}, ConfigError, 'fusion.normalize_all=True: '),
        ('raav_small', {'model.fusion.type': 'DirectedFusion'}, ConfigError, 'needs ReliabilityFusion'),
        ('visual_small', {'layers': 3}, CheckpointError, r'missing: encoders.face.layers.2'),
        ('visual_small', {'model.encoders': {}}, ConfigError, 'encodes the only feature, here face'),
    ],
)
def test_a_checkpoint_of_another_model(
    golden: Path, tmp_path: Path, name: str, changes: dict[str, Any], error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        converted(golden, tmp_path, name, **changes)


def test_a_file_that_is_no_model_of_ras(tmp_path: Path) -> None:
    torch.save({'weight': torch.zeros(2)}, tmp_path / 'best.pt')
    with pytest.raises(CheckpointError, match='no model of RAS: no name in it begins with image_proj'):
        convert_ras(tmp_path / 'best.pt', {}, ['face'])
