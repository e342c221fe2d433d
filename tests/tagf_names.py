"""Names and shapes of the parameters of TAGF and its family, as the reference's state dicts have them."""

from __future__ import annotations

from itertools import pairwise

Shapes = dict[str, list[int]]

CHANNELS = {
    'tagf': {'video': [512, 512, 256, 256], 'logmel': [128] * 4},
    'lfan': {'video': [256, 256, 128, 128], 'logmel': [64, 64, 32, 32], 'bert': [256, 256, 128, 128]},
    'can': {'video': [256, 256, 128, 128, 128], 'logmel': [128, 128, 64, 64, 64]},
    'rcma': {'video': [512, 512, 256, 256], 'logmel': [128] * 4, 'bert': [256, 256, 128, 128]},
}
CHANNELS['can_coattn'] = CHANNELS['can']
DIMS = {'video': 512, 'logmel': 128, 'bert': 768, 'vggish': 128}


def linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f'{name}.weight': [outputs, inputs], f'{name}.bias': [outputs]}


def batch_norm(name: str, dim: int) -> Shapes:
    shapes = {f'{name}.{x}': [dim] for x in ('weight', 'bias', 'running_mean', 'running_var')}
    return {**shapes, f'{name}.num_batches_tracked': []}


def encoder(modality: str, channels: list[int], dim: int, aliases: bool = False) -> Shapes:
    shapes: Shapes = {}
    for level, (inputs, outputs) in enumerate(pairwise([dim, *channels])):
        block = f'temporal.{modality}.network.{level}'
        for number, width in ((1, inputs), (2, outputs)):
            names = [f'{block}.conv{number}', *([f'{block}.net.{4 * number - 4}'] if aliases else [])]
            for name in names:
                shapes[f'{name}.bias'] = [outputs]
                shapes[f'{name}.weight_g'] = [outputs, 1, 1]
                shapes[f'{name}.weight_v'] = [outputs, width, 5]
        if inputs != outputs:
            shapes[f'{block}.downsample.weight'] = [outputs, inputs, 1]
            shapes[f'{block}.downsample.bias'] = [outputs]
    return {**shapes, **batch_norm(f'bn.{modality}', channels[-1])}


def co_attention(prefix: str, dims: list[int], length: int = 300) -> Shapes:
    shapes: Shapes = {}
    for step in (0, 1):
        attention = f'{prefix}.dcn_layers.{step}.dense_coattn'
        shapes |= linear(f'{attention}.query_linear', sum(dims), sum(dims))
        for m, dim in enumerate(dims):
            shapes |= linear(f'{attention}.key{m + 1}_linear', length, length)
            shapes |= linear(f'{attention}.value{m + 1}_linear', dim, dim)
            shapes |= linear(f'{prefix}.dcn_layers.{step}.linears.{m}.0', sum(dims), dim)
    return shapes


def steps_lstm(name: str, dim: int) -> Shapes:
    shapes = {f'{name}.init_hidden': [4, dim], **linear(f'{name}.linear', 3 * dim, 2 * dim)}
    for end in ('l0', 'l0_reverse'):
        for side in ('ih', 'hh'):
            shapes[f'{name}.rnn.weight_{side}_{end}'] = [4 * dim, dim]
            shapes[f'{name}.rnn.bias_{side}_{end}'] = [4 * dim]
    return shapes


def regressor(first: str, second: str, inputs: int, hidden: int) -> Shapes:
    return {**linear(first, inputs, hidden), **batch_norm('bn1', hidden), **linear(second, hidden, 1)}


def reference(system: str, length: int = 300, extra: bool = True) -> Shapes:
    """A whole system without its backbones; with ``extra`` also all that it never uses."""
    shapes: Shapes = {}
    for modality, channels in CHANNELS[system].items():
        shapes |= encoder(modality, channels, DIMS[modality], aliases=extra)
    if extra and system in ('tagf', 'rcma'):
        shapes |= encoder('vggish', [64, 64, 32, 32], 128)
    if system == 'tagf':
        shapes |= co_attention('TAGF.coattn', [256, 128], length)
        shapes |= steps_lstm('TAGF.video_temporal_encoder', 256)
        shapes |= steps_lstm('TAGF.audio_temporal_encoder', 128)
        if extra:
            shapes |= linear('TAGF.vregressor.0', 512, 128) | steps_lstm('TAGF.Joint', 16)
        return shapes | regressor('regressor1', 'regressor2', 384, 256)
    if system == 'rcma':
        return (
            shapes
            | co_attention('coattn', [256, 128, 128], length)
            | regressor('regressor1', 'regressor2', 512, 256)
        )
    if system == 'lfan':
        for modality, channels in CHANNELS[system].items():
            shapes |= linear(f'fusion.layers.self_attn.qkv_proj.{modality}', channels[-1], 96)
        shapes |= linear('fusion.layers.self_attn.o_proj', 96, 96)
        shapes |= {'fusion.layers.norm1.weight': [96], 'fusion.layers.norm1.bias': [96]}
        return shapes | linear('regressor', 128 + 96, 1)
    fuse = linear('fuse.attn.0', 128, 128) | linear('fuse.attn.1', 64, 128) | linear('fuse.weights', 256, 256)
    if extra:
        shapes |= {'conv_c.weight': [128, 256, 1], 'conv_c.bias': [128]}
    if system == 'can':
        return shapes | fuse | regressor('fc1', 'fc2', 256, 256)
    shapes |= co_attention('coattn', [64, 128], length)
    return shapes | (fuse if extra else {}) | regressor('fc1', 'fc2', 192, 192)
