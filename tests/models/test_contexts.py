"""Contexts against independent computations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from abawfw.errors import ConfigError
from abawfw.models.contexts import FeedForward, GRUContext, LSTMContext, MemoryAttention, TransformerContext
from abawfw.models.convert.rucaim3 import NETS
from abawfw.models.layers import Dropout, carried_rnn
from abawfw.registry import MODELS


def valid_of(lengths: list[int], time: int) -> torch.Tensor:
    return torch.arange(time) < torch.tensor(lengths)[:, None]


def torch_encoder(context: TransformerContext, dropout: float = 0.0) -> nn.TransformerEncoder:
    """torch's own encoder with the weights of ours: names and shapes are the same."""
    layer = nn.TransformerEncoderLayer(16, 2, 24, dropout, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    encoder.load_state_dict({k: v for k, v in context.state_dict().items() if k.startswith('layers.')})
    return encoder


@pytest.mark.parametrize('train', [True, False])
def test_encoder_equals_that_of_torch(train: bool) -> None:
    torch.manual_seed(0)
    context = TransformerContext(16, 16, layers=2, heads=2, ffn=24, dropout=0.0, affine=False, position=False)
    context.train(train)
    encoder = torch_encoder(context).train(train)
    x, valid = torch.randn(3, 9, 16), valid_of([9, 4, 1], 9)
    got, expected = context(x, valid), encoder(x, src_key_padding_mask=~valid)
    torch.testing.assert_close(got[valid], expected[valid], rtol=0, atol=1e-5)
    torch.testing.assert_close(context(x, valid_of([9] * 3, 9)), encoder(x), rtol=0, atol=1e-5)


def test_dropout_of_the_encoder_has_the_moments_of_torchs() -> None:
    torch.manual_seed(0)
    context = TransformerContext(16, 16, layers=2, heads=2, ffn=24, dropout=0.3, affine=False, position=False)
    with torch.no_grad():
        for p in context.parameters():
            p.add_(0.2 * torch.randn_like(p))
    encoder = torch_encoder(context, 0.3).train()
    context.train()
    draws = 4000
    x = torch.randn(1, 5, 16).expand(draws, 5, 16)
    with torch.no_grad():
        got, expected = context(x, valid_of([5] * draws, 5)), encoder(x)
    error = (got.var(0) / draws + expected.var(0) / draws).sqrt()
    assert ((got.mean(0) - expected.mean(0)).abs() / error).max() < 5
    torch.testing.assert_close(got.std(0), expected.std(0), rtol=0.1, atol=0)


def test_position_table(golden: Path) -> None:
    context = TransformerContext(3, 32, layers=0)
    table = context.position.table
    stored = torch.load(golden / 'weights_mini/transformer/golden_net_seq.pth', weights_only=True)
    torch.testing.assert_close(table, stored['position_embeddings.weight'], rtol=0, atol=1e-6)
    assert (table[0] == 0).all()
    assert not any('position' in key for key in context.state_dict())
    x = torch.randn(1, 512, 3)
    valid = torch.ones(1, 512, dtype=torch.bool)
    torch.testing.assert_close(context(x, valid), context.affine(x) + table)


def test_clip_longer_than_the_table() -> None:
    context = TransformerContext(3, 4, layers=1, heads=1, ffn=4)
    with pytest.raises(ConfigError, match=r'600 frames.*512 rows.*position=False'):
        context(torch.zeros(1, 600, 3), torch.ones(1, 600, dtype=torch.bool))


def test_residual_adds_the_input() -> None:
    arguments = {'in_dim': 8, 'hidden': 8, 'layers': 1, 'heads': 2, 'ffn': 8, 'affine': False}
    plain, residual = TransformerContext(**arguments), TransformerContext(**arguments, residual=True)
    residual.load_state_dict(plain.state_dict())
    x, valid = torch.randn(2, 5, 8), valid_of([5, 5], 5)
    torch.testing.assert_close(residual.eval()(x, valid), plain.eval()(x, valid) + x)


@pytest.mark.parametrize('argument', ['affine', 'residual'])
def test_widths_that_contradict(argument: str) -> None:
    with pytest.raises(ConfigError, match='vectors of 8 but has hidden=16'):
        TransformerContext(8, 16, **{argument: argument == 'residual'})


def test_heads_that_do_not_divide() -> None:
    with pytest.raises(ConfigError, match='3 attention heads do not divide a width of 16'):
        TransformerContext(8, 16, heads=3)


def test_feed_forward() -> None:
    context = FeedForward(3, 5, dropout=0.5).eval()
    x = torch.randn(2, 4, 3)
    expected = (x @ context.linear.weight.T + context.linear.bias).clamp(min=0)
    torch.testing.assert_close(context(x, valid_of([4, 4], 4)), expected)


@pytest.mark.parametrize('dtype', [None, torch.bfloat16])
def test_lstm_carries_its_state(dtype: torch.dtype | None) -> None:
    torch.manual_seed(0)
    context = LSTMContext(4, 8)
    x = torch.randn(3, 10, 4)
    whole, _ = context.rnn(x)
    state = context.initial_state(3)
    with torch.autocast('cpu', torch.bfloat16, enabled=dtype is not None):
        first, state = context(x[:, :6], valid_of([6, 6, 6], 6), state)
        second, state = context(x[:, 6:], valid_of([4, 2, 0], 4), state)
    assert all(s.dtype == torch.float32 for s in state)
    tolerance = {'rtol': 0, 'atol': 1e-6 if dtype is None else 0.02}
    torch.testing.assert_close(torch.cat([first, second], 1)[0].float(), whole[0], **tolerance)
    torch.testing.assert_close(second[1, :2].float(), whole[1, 6:8], **tolerance)
    for row, end in enumerate((10, 8, 6)):
        _, expected = context.rnn(x[row : row + 1, :end])
        for got, true in zip(state, expected, strict=True):
            torch.testing.assert_close(got[row], true[0, 0], **tolerance)


@pytest.mark.parametrize('layer', [LSTMContext, GRUContext])
def test_float32_where_the_library_lacks_the_precision(layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """cuDNN takes bfloat16 for float16, without a loss scale; an older CPU has no kernel."""
    monkeypatch.setattr(carried_rnn, '_has_kernel', lambda kind: False)
    context, x = layer(4, 8), torch.randn(3, 10, 4)
    given = x, valid_of([10, 8, 10], 10), context.initial_state(3)
    with torch.autocast('cpu', torch.bfloat16):
        found = context(*given)
    torch.testing.assert_close(found, context(*given), rtol=0, atol=0)
    monkeypatch.undo()
    for dtype in (torch.bfloat16, torch.float16):
        monkeypatch.setattr(torch, 'get_autocast_dtype', lambda kind, dtype=dtype: dtype)
        assert carried_rnn._has_kernel('cuda') == (dtype == torch.float16)


@pytest.mark.parametrize('dtype', [None, torch.bfloat16])
def test_gru_carries_its_state(dtype: torch.dtype | None) -> None:
    """Rows of which a clip ends earlier, and one that stands still, against torch's GRU row by row."""
    torch.manual_seed(0)
    context, gru = GRUContext(4, 8), nn.GRU(4, 8, batch_first=True)
    gru.load_state_dict({k.removeprefix('rnn.'): v for k, v in context.state_dict().items()})
    x, state = torch.randn(3, 10, 4), context.initial_state(3)
    with torch.autocast('cpu', torch.bfloat16, enabled=dtype is not None):
        first, state = context(x[:, :6], valid_of([6, 4, 6], 6), state)
        second, (state,) = context(x[:, 6:], valid_of([4, 2, 0], 4), state, lengths=[4, 2, 0])
    tolerance = {'rtol': 0, 'atol': 1e-6 if dtype is None else 0.02}
    kept = [list(range(10)), [0, 1, 2, 3, 6, 7], list(range(6))]
    found = torch.cat([first, second], 1).float()
    for row, frames in enumerate(kept):
        expected, last = gru(x[row : row + 1, frames])
        torch.testing.assert_close(found[row, frames], expected[0], **tolerance)
        torch.testing.assert_close(state[row].float(), last[0, 0], **tolerance)


class PlainMemory:
    """The memory of one video as the spec says it, with torch's attention."""

    def __init__(
        self, mode: str, average: int, capacity: int | None, weights: dict[str, torch.Tensor]
    ) -> None:
        self.mode, self.average, self.capacity = mode, average, capacity
        self.entries: list[torch.Tensor] = []
        self.attention = nn.MultiheadAttention(8, 2)
        if weights:
            self.attention.load_state_dict(weights)

    def __call__(self, h: torch.Tensor) -> torch.Tensor:
        out = h
        if self.entries and self.mode != 'none':
            memory = torch.stack(self.entries)
            if self.mode == 'single':
                out = h + (h @ memory.T / 8**0.5).softmax(-1) @ memory
            else:
                out = h + self.attention(h, memory, memory)[0]
        self.entries += [run.mean(0) for run in h.split(self.average)]
        if self.capacity is not None:
            self.entries = self.entries[-self.capacity :]
        return out


@pytest.mark.parametrize('capacity', [1, 3, 5, None])
@pytest.mark.parametrize('mode', ['multihead', 'single', 'none'])
def test_memory_equals_the_plain_definition(mode: str, capacity: int | None) -> None:
    torch.manual_seed(0)
    context = MemoryAttention(8, mode, heads=2, average=4, capacity=capacity).eval()
    with torch.no_grad():
        for p in context.parameters():
            p.normal_(0, 0.5)
    weights = {k.removeprefix('attention.'): v for k, v in context.state_dict().items()}
    # Rows of different fill: the lengths of the clips of each row, 0 being a row that stands still.
    lengths = [[7, 7, 7, 5], [7, 0, 3, 7], [1, 2, 0, 7], [0, 0, 7, 7]]
    plain = [PlainMemory(mode, 4, capacity, weights) for _ in lengths]
    state = context.initial_state(4)
    with torch.no_grad():
        for step in range(4):
            h = torch.randn(4, 7, 8)
            frames = [row[step] for row in lengths]
            out, state = context(h, valid_of(frames, 7), state)
            for i, n in enumerate(frames):
                if n:
                    torch.testing.assert_close(out[i, :n], plain[i](h[i, :n]), rtol=0, atol=1e-5)
    if mode == 'none':
        return
    memory, count = state
    for i, row in enumerate(plain):
        assert count[i] == len(row.entries)
        torch.testing.assert_close(memory[i, : count[i]], torch.stack(row.entries), rtol=0, atol=1e-6)
        assert (memory[i, count[i] :] == 0).all()
    assert memory.shape[1] == max(len(row.entries) for row in plain)


def test_memory_is_cut_off_from_the_graph() -> None:
    context = MemoryAttention(8, heads=2)
    x = torch.randn(1, 12, 8, requires_grad=True)
    _, state = context(x, valid_of([12], 12), context.initial_state(1))
    assert not state[0].requires_grad


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'mode': 'multi'}, "no mode 'multi'.*multihead"),
        ({'average': 0}, 'not 0 and 100'),
        ({'capacity': 0}, 'not 10 and 0'),
    ],
)
def test_memory_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MemoryAttention(8, **arguments)


MODELS_IN_SMALL = {
    'transformer': [{'type': 'TransformerContext', 'hidden': 32, 'layers': 2, 'ffn': 48}],
    'transformer_lstm': [
        {'type': 'FeedForward', 'hidden': 32},
        {'type': 'TransformerContext', 'hidden': 32, 'layers': 2, 'ffn': 48, 'affine': False},
        {'type': 'LSTMContext', 'hidden': 32},
    ],
    'transformer_attention': [
        {'type': 'TransformerContext', 'hidden': 32, 'layers': 2, 'ffn': 48},
        {'type': 'MemoryAttention'},
    ],
    'fclstm_xl': [{'type': 'FeedForward', 'hidden': 24}, {'type': 'LSTMContext', 'hidden': 24}],
}


@pytest.mark.parametrize(
    ('case', 'name', 'layers'),
    [
        ('transformer', 'transformer', [16, 12]),
        ('transformer_lstm_res_y', 'transformer_lstm', [16, 12]),
        ('transformer_attention_multihead', 'transformer_attention', [16, 12]),
        ('fclstm_xl', 'fclstm_xl', [16, 8]),
    ],
)
def test_initial_weights(golden: Path, case: str, name: str, layers: list[int]) -> None:
    """Same distribution as the reference's: both are draws of it."""
    torch.manual_seed(0)
    model = MODELS.build(
        {
            'type': 'VAEstimator',
            'input_dims': {'x': 26},
            'context': MODELS_IN_SMALL[name],
            'head': {'type': 'RegressionHead', 'layers': layers},
            'init_cfg': {'type': 'Normal', 'layer': 'Linear', 'std': 0.02},
        }
    )
    model.init_weights()
    weights = model.state_dict()
    seen = set()
    with np.load(golden / 'init_stats_mini.npz') as stats:
        for key in stats:
            if not key.startswith(f'{case}/'):
                continue
            _, net, parameter = key.split('/')
            index, rules = next((i, r) for n, i, r in NETS[name] if f'net_{n}' == net)
            ours = next(m.expand(t) for p, t in rules if (m := re.fullmatch(p, parameter))).format(i=index)
            if ours in ('', 'position'):
                continue
            count, mean, std = stats[key][:3]
            tensor = weights[ours].double()
            assert tensor.numel() == count
            error = 5 * std * (2 / count) ** 0.5
            assert abs(tensor.mean().item() - mean) <= error, ours
            assert abs(tensor.std().item() - std) <= error, ours
            seen.add(ours)
    assert seen == set(weights)


def test_attention_weights_are_dropped_in_training() -> None:
    context = TransformerContext(8, 8, layers=1, heads=1, ffn=8, affine=False, position=False, dropout=0.0)
    context.layers[0].self_attn.dropout = Dropout(0.5)
    x, valid = torch.randn(1, 6, 8), valid_of([6], 6)
    context.train()
    assert not torch.equal(context(x, valid), context(x, valid))
    context.eval()
    assert torch.equal(context(x, valid), context(x, valid))
