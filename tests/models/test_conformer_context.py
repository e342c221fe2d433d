"""The Conformer against the formulas of its paper, one frame and one pair of frames at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from abawfw.errors import ConfigError
from abawfw.models.contexts import ConformerContext
from abawfw.models.contexts.conformer_context import ConformerLayer, last_frames

DIM, HEADS, KERNEL = 8, 2, 4
Array = NDArray[np.float64]


def context_of(**arguments: object) -> ConformerContext:
    torch.manual_seed(0)
    context = ConformerContext(DIM, 2, HEADS, 12, KERNEL, **arguments).eval()
    with torch.no_grad():
        for p in context.parameters():
            p.normal_(0, 0.4)
    return context


def weights(module: torch.nn.Module) -> dict[str, Array]:
    return {name: p.detach().double().numpy() for name, p in module.named_parameters()}


def normalized(x: Array, w: dict[str, Array], name: str) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * w[f'{name}.weight'] + w[f'{name}.bias']


def mapped(x: Array, w: dict[str, Array], name: str) -> Array:
    return x @ w[f'{name}.weight'].squeeze().T + w.get(f'{name}.bias', 0)


def logistic(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def swish(x: Array) -> Array:
    return x * logistic(x)


def fed_forward(x: Array, w: dict[str, Array], name: str) -> Array:
    return mapped(swish(mapped(normalized(x, w, f'{name}.0'), w, f'{name}.1')), w, f'{name}.4')


def sinusoid(distance: int) -> Array:
    angles = distance / 10000 ** (np.arange(0, DIM, 2) / DIM)
    return np.stack([np.sin(angles), np.cos(angles)], -1).reshape(DIM)


def attended(x: Array, w: dict[str, Array], past: int | None) -> Array:
    """Transformer-XL's score of query i and key j: (q + u) k + (q + v) W R(i - j)."""
    query, key, value = np.split(mapped(normalized(x, w, 'norm_attention'), w, 'attention.in_proj'), 3, -1)
    found = np.zeros_like(x)
    for head in range(HEADS):
        part = slice(head * DIM // HEADS, (head + 1) * DIM // HEADS)
        u, v = (w[f'attention.{name}'][head, 0] for name in ('to_content', 'to_position'))
        for i in range(len(x)):
            keys = range(len(x)) if past is None else range(max(0, i - past), i + 1)
            scores = [
                (query[i, part] + u) @ key[j, part]
                + (query[i, part] + v) @ (w['attention.position.weight'] @ sinusoid(i - j))[part]
                for j in keys
            ]
            chosen = np.exp(np.array(scores) / np.sqrt(DIM / HEADS))
            found[i, part] = chosen @ value[list(keys), part] / chosen.sum()
    return mapped(found, w, 'attention.out_proj')


def convolved(x: Array, w: dict[str, Array], centred: bool) -> Array:
    kernel = w['convolution.conv.weight'][:, 0]
    content, gate = np.split(mapped(normalized(x, w, 'convolution.norm'), w, 'convolution.gated'), 2, axis=-1)
    gated = content * logistic(gate)
    before = KERNEL // 2 if centred else KERNEL - 1
    found = np.repeat(w['convolution.conv.bias'][None], len(x), axis=0)
    for i in range(len(x)):
        for k in range(KERNEL):
            if 0 <= i + k - before < len(x):
                found[i] += kernel[:, k] * gated[i + k - before]
    return mapped(swish(normalized(found, w, 'convolution.inner_norm')), w, 'convolution.out')


def plain(layer: ConformerLayer, x: Array, past: int | None) -> Array:
    w = weights(layer)
    x = x + fed_forward(x, w, 'first') / 2
    x = x + attended(x, w, past)
    x = x + convolved(x, w, past is None)
    return normalized(x + fed_forward(x, w, 'second') / 2, w, 'norm')


@pytest.mark.parametrize('past', [None, 1, 5, 30])
def test_equals_the_formulas(past: int | None) -> None:
    context, lengths = context_of(past=past), (14, 9)
    x = torch.randn(2, 14, DIM)
    valid = torch.arange(14) < torch.tensor(lengths)[:, None]
    with torch.no_grad():
        y = context(x, valid) if past is None else context(x, valid)[0]
    for row, length in enumerate(lengths):
        expected = x[row, :length].double().numpy()
        for layer in context.layers:
            expected = plain(layer, expected, past)
        np.testing.assert_allclose(y[row, :length], expected, rtol=0, atol=1e-5)


def test_a_long_clip_is_what_its_parts_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention to a bounded past is computed part after part, in a clip and over clips."""
    context, x, valid = context_of(past=5), torch.randn(2, 60, DIM), torch.ones(2, 60, dtype=torch.bool)
    with torch.no_grad():
        whole, after = context(x, valid)
        monkeypatch.setattr('abawfw.models.contexts.conformer_context.FRAMES', 7)
        parts, left = context(x, valid)
        first, state = context(x[:, :23], valid[:, :23])
        second, last = context(x[:, 23:], valid[:, 23:], state)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=0, atol=1e-5)
    for found, carried, expected in zip(left, last, after, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(carried, expected, rtol=0, atol=1e-5)


def test_frames_as_far_back_as_the_past_and_the_convolutions_reach() -> None:
    context, x = context_of(past=5), torch.randn(1, 40, DIM)
    valid, other = torch.ones(1, 40, dtype=torch.bool), x.clone()
    other[:, 10, 0] += 1  # not all channels: layer normalisation takes out what they have in common
    with torch.no_grad():
        changed = (context(x, valid)[0] != context(other, valid)[0]).any(-1)[0]
    reach = 2 * (5 + KERNEL - 1)  # of two layers
    assert changed.nonzero()[:, 0].tolist() == list(range(10, 10 + reach + 1))


def test_last_frames_of_rows_of_two_lengths() -> None:
    frames = torch.arange(14.0).view(2, 7, 1)  # two before the clip, five of it
    valid = torch.tensor([[True] * 5, [True, False, False, False, False]])
    assert last_frames(frames, valid, 2)[..., 0].tolist() == [[5, 6], [8, 9]]


def test_heads_that_do_not_divide() -> None:
    with pytest.raises(ConfigError, match='3 attention heads do not divide a width of 8'):
        ConformerContext(8, heads=3)
