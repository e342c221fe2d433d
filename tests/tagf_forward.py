"""TAGF and its family by the formulas of docs/tagf.md, written apart from abawfw, to compare with.

In evaluation mode, from weights by the reference's names, in the precision of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Weights = dict[str, Tensor]


def double(tensors: Weights) -> Weights:
    """The same in float64."""
    return {k: v.double() for k, v in tensors.items()}


def part(weights: Weights, prefix: str) -> Weights:
    """The weights below a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def linear(x: Tensor, w: Weights, name: str) -> Tensor:
    return x @ w[f'{name}.weight'].T + w[f'{name}.bias']


def batch_norm(x: Tensor, w: Weights, name: str) -> Tensor:
    """Over the last axis, by running statistics."""
    scale = w[f'{name}.weight'] / (w[f'{name}.running_var'] + 1e-5).sqrt()
    return (x - w[f'{name}.running_mean']) * scale + w[f'{name}.bias']


def tcn(x: Tensor, w: Weights) -> Tensor:
    """(batch, time, channels) to the same; weights ``network...``."""
    x = x.transpose(1, 2)
    level = 0
    while f'network.{level}.conv1.bias' in w:
        out = x
        for conv in ('conv1', 'conv2'):
            name = f'network.{level}.{conv}'
            v = w[f'{name}.weight_v']
            kernel = w[f'{name}.weight_g'] * v / v.flatten(1).norm(dim=1)[:, None, None]
            past = F.pad(out, (4 * 2**level, 0))
            out = F.leaky_relu(F.conv1d(past, kernel, w[f'{name}.bias'], dilation=2**level), 0.01)
        down = w.get(f'network.{level}.downsample.weight')
        residual = x if down is None else F.conv1d(x, down, w[f'network.{level}.downsample.bias'])
        x = F.leaky_relu(out + residual, 0.01)
        level += 1
    return x.transpose(1, 2)


def encode(x: Tensor, w: Weights, modality: str) -> Tensor:
    return batch_norm(tcn(x, part(w, f'temporal.{modality}.')), w, f'bn.{modality}')


def co_attention(xs: Sequence[Tensor], w: Weights, projected: bool) -> list[list[Tensor]]:
    """Inputs and what each step gives, per step a list over modalities; weights ``dcn_layers...``."""
    states, step = [list(xs)], 0
    while f'dcn_layers.{step}.linears.0.0.weight' in w:
        layer = part(w, f'dcn_layers.{step}.')
        xs = states[-1]
        joint = torch.cat(xs, dim=-1)
        if projected:
            joint = linear(joint, layer, 'dense_coattn.query_linear')
        new = []
        for m, x in enumerate(xs):
            key = linear(x.transpose(1, 2), layer, f'dense_coattn.key{m + 1}_linear')
            scores = torch.tanh(key @ joint / math.sqrt(joint.shape[-1]))
            value = linear(x, layer, f'dense_coattn.value{m + 1}_linear')
            weighted = torch.tanh(value @ scores).relu()
            new.append(x + linear(weighted, layer, f'linears.{m}.0').relu())
        states.append(new)
        step += 1
    return states


def gate(states: Sequence[Tensor], w: Weights) -> Tensor:
    """The steps of one modality weighed by a BiLSTM over them."""
    stacked = torch.stack(list(states), dim=2)
    batch, time, steps, dim = stacked.shape
    x = stacked.reshape(batch * time, steps, dim)
    lstm = nn.LSTM(dim, dim, batch_first=True, bidirectional=True, dtype=x.dtype)
    lstm.load_state_dict(part(w, 'rnn.'))
    hidden, cell = (
        half.unsqueeze(1).expand(-1, len(x), -1).contiguous() for half in w['init_hidden'].chunk(2)
    )
    out, _ = lstm(x, (hidden, cell))
    scores = F.normalize(linear(torch.cat([x, out], dim=-1), w, 'linear'), dim=-1).mean(dim=-1)
    fused = (x * (scores / 0.1).softmax(dim=1).unsqueeze(-1)).sum(dim=1)
    return fused.reshape(batch, time, dim)


def tagf(video: Tensor, audio: Tensor, w: Weights) -> Tensor:
    xs = [F.normalize(video, dim=-1), F.normalize(audio, dim=-1)]
    states = co_attention(xs, part(w, 'coattn.'), projected=True)
    gates = [part(w, f'{m}_temporal_encoder.') for m in ('video', 'audio')]
    return torch.cat([gate([s[m] for s in states], gates[m]) for m in (0, 1)], dim=-1)


def leader_follower(xs: dict[str, Tensor], w: Weights) -> Tensor:
    """Two heads over modalities; weights ``layers...``."""
    attention = part(w, 'layers.self_attn.')
    tokens = [linear(x, attention, f'qkv_proj.{m}').unflatten(-1, (2, -1)) for m, x in xs.items()]
    query, key, value = torch.stack(tokens, dim=3).chunk(3, dim=-1)  # (batch, time, head, modality, dim)
    weights = (query @ key.transpose(-1, -2) / math.sqrt(key.shape[-1])).softmax(dim=-1)
    mixed = linear((weights @ value + value).flatten(2), attention, 'o_proj')
    return F.layer_norm(mixed, mixed.shape[-1:], w['layers.norm1.weight'], w['layers.norm1.bias'])


def channel_attention(xs: Sequence[Tensor], w: Weights) -> Tensor:
    joint = torch.cat([linear(x, w, f'attn.{i}') for i, x in enumerate(xs)], dim=-1)
    return linear(joint, w, 'weights').softmax(dim=-1) * joint


def regress(x: Tensor, w: Weights, first: str, second: str) -> Tensor:
    hidden = F.leaky_relu(batch_norm(linear(x, w, first), w, 'bn1'), 0.01)
    return linear(hidden, w, second).tanh()


def forward(system: str, inputs: dict[str, Tensor], w: Weights) -> Tensor:
    """A whole system on ``{modality: (batch, 300, dim)}``: (batch, 300, 1)."""
    x = {m: encode(v, w, m) for m, v in inputs.items()}
    if system == 'tagf':
        return regress(tagf(x['video'], x['logmel'], part(w, 'TAGF.')), w, 'regressor1', 'regressor2')
    if system == 'rcma':
        xs = [x['video'], x['logmel'], x['bert']]
        fused = torch.cat(co_attention(xs, part(w, 'coattn.'), projected=False)[-1], dim=-1)
        return regress(fused, w, 'regressor1', 'regressor2')
    if system == 'lfan':
        follower = leader_follower(x, part(w, 'fusion.'))
        return linear(torch.cat([x['video'], follower], dim=-1), w, 'regressor').tanh()
    if system == 'can_coattn':
        fused = torch.cat(co_attention([x['logmel'], x['video']], part(w, 'coattn.'), True)[-1], dim=-1)
    else:
        fused = channel_attention(list(x.values()), part(w, 'fuse.'))
    return regress(fused, w, 'fc1', 'fc2')
