"""The head of TAGF's family: bounded, with batch statistics of the frames that exist."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from abawfw.errors import ConfigError
from abawfw.models.heads import TanhHead
from abawfw.models.losses import WindowCCCLoss

BOTH = ('valence', 'arousal')


def test_is_linear_batch_norm_leaky_relu_linear_tanh() -> None:
    head = TanhHead(6, BOTH, layers=(5, 4)).eval()
    for value in head.state_dict().values():
        value.copy_(torch.rand(value.shape) + 0.1)
    x = torch.randn(2, 7, 6)
    state, y = head.state_dict(), x
    for layer in range(2):
        y = F.linear(y, state[f'hidden.{layer}.linear.weight'], state[f'hidden.{layer}.linear.bias'])
        norm = f'hidden.{layer}.norm.'
        y = (y - state[norm + 'running_mean']) / (state[norm + 'running_var'] + 1e-5).sqrt()
        y = F.leaky_relu(y * state[norm + 'weight'] + state[norm + 'bias'], 0.01)
    expected = torch.tanh(F.linear(y, state['out.weight'], state['out.bias']))
    output = head(x, torch.ones(2, 7, dtype=torch.bool))
    assert output.logits is None
    torch.testing.assert_close(output.va.detach(), expected)


def test_names_of_the_parameters() -> None:
    assert set(TanhHead(6, ['valence'], layers=(5,)).state_dict()) == {
        *(f'hidden.0.linear.{x}' for x in ('weight', 'bias')),
        *(
            f'hidden.0.norm.{x}'
            for x in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
        ),
        *('out.weight', 'out.bias'),
    }


def test_without_hidden_layers_it_is_linear_and_tanh() -> None:
    head, x = TanhHead(6, BOTH, layers=()), torch.randn(2, 7, 6)
    assert set(head.state_dict()) == {'out.weight', 'out.bias'}
    expected = torch.tanh(x @ head.out.weight.T + head.out.bias)
    torch.testing.assert_close(head(x, torch.ones(2, 7, dtype=torch.bool)).va, expected)


@given(st.integers(0, 100), st.integers(2, 12), st.integers(1, 6), st.booleans())
def test_padding_changes_nothing(seed: int, time: int, more: int, training: bool) -> None:
    torch.manual_seed(seed)
    head = TanhHead(4, BOTH, layers=(5,)).train(training)
    x, valid = torch.randn(2, time, 4), torch.ones(2, time, dtype=torch.bool)
    state = {k: v.clone() for k, v in head.state_dict().items()}
    short = head(x, valid).va
    buffers = [b.clone() for b in head.buffers()]
    head.load_state_dict(state)
    long = head(F.pad(x, (0, 0, 0, more), value=50.0), F.pad(valid, (0, more))).va
    torch.testing.assert_close(long[:, :time], short, rtol=1e-4, atol=1e-5)
    for after, before in zip(head.buffers(), buffers, strict=True):
        torch.testing.assert_close(after, before)


def test_trains_on_the_loss_per_window_unless_told_otherwise() -> None:
    head = TanhHead(4, BOTH)
    assert isinstance(head.losses['loss_window_ccc'], WindowCCCLoss)
    x, valid = torch.randn(3, 20, 4), torch.ones(3, 20, dtype=torch.bool)
    loss = head.loss(head(x, valid), torch.rand(3, 20, 2), valid)['loss_window_ccc']
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())
    assert set(TanhHead(4, BOTH, losses=[{'type': 'MSELoss'}]).losses) == {'loss_mse'}
    with pytest.raises(ConfigError, match='TanhHead has none: use BinHead'):
        TanhHead(4, BOTH, losses=[{'type': 'BinnedCrossEntropyLoss'}])


def test_predictions_are_float32_in_half_precision() -> None:
    head, x = TanhHead(4, BOTH), torch.randn(3, 20, 4)
    with torch.autocast('cpu', torch.bfloat16):
        output = head(x, torch.ones(3, 20, dtype=torch.bool)).va
    assert output.dtype == torch.float32
    output.square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())
