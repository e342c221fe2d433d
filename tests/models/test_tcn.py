"""The temporal convolutional network: the reference's numbers, causality, and frames that are not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tagf_forward
import torch
import torch.nn.functional as F
from float32 import assert_float32_of
from golden_recipe import fill, golden_input, parameter_names
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from abawfw.errors import ConfigError
from abawfw.models.encoders import TCN
from abawfw.models.layers import MaskedBatchNorm, TemporalConvNet
from abawfw.registry import ENCODERS

CASES = {'tcn_lfan_logmel': (128, 128, 128, 128), 'tcn_can_logmel': (128, 128, 64, 64, 64)}


def our_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    changed = {
        'weight_g': 'parametrizations.weight.original0',
        'weight_v': 'parametrizations.weight.original1',
    }
    named = {}
    for name, value in weights.items():
        module, _, last = name.rpartition('.')
        named[f'{module}.{changed.get(last, last)}'] = value
    return named


@pytest.mark.parametrize('name', CASES)
def test_reference_outputs(golden_tagf: Path, name: str) -> None:
    net = TemporalConvNet(128, CASES[name]).eval()
    weights = fill(parameter_names(golden_tagf)[name], f'TCN_{name.removeprefix("tcn_")}')
    net.load_state_dict(our_names(weights))
    with np.load(golden_tagf / f'{name}.npz') as stored:
        x, expected = torch.from_numpy(stored['x']), torch.from_numpy(stored['out'])
    torch.testing.assert_close(golden_input(name, x.shape), x)
    exact = tagf_forward.tcn(x.transpose(1, 2).double(), tagf_forward.double(weights)).transpose(1, 2)
    assert_float32_of(net(x.transpose(1, 2)).transpose(1, 2).detach(), exact, expected)


def plain(net: TemporalConvNet, x: Tensor) -> Tensor:
    """The definition: weights computed by hand, the convolution as a sum over taps, no dropout."""
    for level, block in enumerate(net.network):
        y = x
        for conv in (block.conv1, block.conv2):
            g, v = weight_norm_of(conv)
            weight = g * v / v.flatten(1).norm(dim=1)[:, None, None]
            taps = weight.shape[-1]
            total = conv.bias.expand(*y.shape[:2], -1).clone()
            for tap in range(taps):
                lag = (taps - 1 - tap) * 2**level
                if lag < y.shape[1]:
                    total[:, lag:] += y[:, : y.shape[1] - lag] @ weight[:, :, tap].T
            y = F.leaky_relu(total, 0.01)
        residual = x
        if block.downsample is not None:
            residual = x @ block.downsample.weight[:, :, 0].T + block.downsample.bias
        x = F.leaky_relu(y + residual, 0.01)
    return x


def weight_norm_of(conv: nn.Module) -> tuple[Tensor, Tensor]:
    state = dict(conv.named_parameters())
    return state['parametrizations.weight.original0'], state['parametrizations.weight.original1']


@given(st.integers(0, 1000), st.integers(1, 5), st.integers(1, 20), st.integers(1, 3), st.booleans())
def test_is_the_plain_definition_and_so_are_its_gradients(
    seed: int, kernel: int, time: int, batch: int, widen: bool
) -> None:
    torch.manual_seed(seed)
    net = TemporalConvNet(3, (4, 5) if widen else (3, 3, 3), kernel, dropout=0.0).double()
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(batch, time, 3, dtype=torch.double, requires_grad=True)
    y, expected = net(x), plain(net, x)
    torch.testing.assert_close(y, expected)
    cotangent = torch.randn_like(y)
    wanted = [x, *net.parameters()]
    for ours, other in zip(
        torch.autograd.grad(y, wanted, cotangent),
        torch.autograd.grad(expected, wanted, cotangent),
        strict=True,
    ):
        torch.testing.assert_close(ours, other, rtol=1e-6, atol=1e-8)


@given(st.integers(0, 100), st.integers(1, 30), st.integers(1, 12), st.booleans())
def test_padding_influences_no_frame(seed: int, time: int, more: int, training: bool) -> None:
    torch.manual_seed(seed)
    encoder = TCN(3, (4, 6), dropout=0.0).train(training)
    x, observed = torch.randn(2, time, 3), torch.rand(2, time) < 0.8
    observed[0, :1] = True
    state = {k: v.clone() for k, v in encoder.state_dict().items()}
    short = encoder(x, observed)
    statistics = [b.clone() for b in encoder.buffers()]
    encoder.load_state_dict(state)
    long = encoder(F.pad(x, (0, 0, 0, more), value=9.0), F.pad(observed, (0, more)))
    torch.testing.assert_close(long[:, :time], short, rtol=1e-4, atol=1e-5)
    for after, before in zip(encoder.buffers(), statistics, strict=True):
        torch.testing.assert_close(after, before)


def test_sees_as_far_back_as_it_says_and_never_ahead() -> None:
    net = TemporalConvNet(2, (3, 3, 3), kernel=3, dropout=0.0)
    reach = 2 * (3 - 1) * (2**3 - 1)
    x = torch.randn(1, 40, 2, requires_grad=True)
    net(x)[0, 35].sum().backward()
    seen = x.grad[0].abs().sum(-1) > 0
    assert seen[35 - reach : 36].all()
    assert not seen[: 35 - reach].any()
    assert not seen[36:].any()


def test_what_was_not_observed_is_zero_and_enters_no_statistics() -> None:
    encoder = TCN(3, (4, 6), dropout=0.0)
    x, observed = torch.randn(2, 30, 3), torch.ones(2, 30, dtype=torch.bool)
    observed[0, 10:14] = False
    observed[1, :] = False
    state = {k: v.clone() for k, v in encoder.state_dict().items()}
    zeroed = x.clone()
    zeroed[~observed] = 0.0
    before_norm = encoder.tcn(zeroed)
    kept = before_norm[observed]
    expected = F.batch_norm(kept, None, None, training=True)
    garbage = x.clone()
    garbage[~observed] = float('nan')
    y = encoder(garbage, observed)
    torch.testing.assert_close(y[observed], expected)
    torch.testing.assert_close(encoder.norm.running_mean, 0.1 * kept.mean(0))
    assert torch.isfinite(y).all()
    # An output where nothing was observed tells of the frames before it.
    encoder.load_state_dict(state)
    other = x.clone()
    other[0, 9] += 1.0
    assert not torch.equal(encoder.eval()(other, observed)[0, 10], encoder(x, observed)[0, 10])


def test_nothing_observed_at_all_is_finite() -> None:
    encoder = TCN(3, (4,))
    state = {k: v.clone() for k, v in encoder.state_dict().items()}
    encoder(torch.randn(2, 5, 3), torch.zeros(2, 5, dtype=torch.bool)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_dropout_in_training_only() -> None:
    net, x = TemporalConvNet(3, (16,), dropout=0.5), torch.randn(2, 20, 3)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


def test_trains_in_half_precision() -> None:
    encoder, x = TCN(8, (16, 16)), torch.randn(2, 50, 8)
    observed = torch.ones(2, 50, dtype=torch.bool)
    observed[1, 30:] = False
    exact = encoder.eval()(x, observed)
    with torch.autocast('cpu', torch.bfloat16):
        rough = encoder(x, observed)
        encoder.train()(x, observed).float().square().mean().backward()
    torch.testing.assert_close(rough.float(), exact, rtol=0.1, atol=0.1)
    assert all(torch.isfinite(p.grad).all() and p.grad.dtype == torch.float32 for p in encoder.parameters())


def test_registered_with_the_widths_of_its_last_level() -> None:
    encoder = ENCODERS.build({'type': 'TCN', 'in_dim': 5, 'channels': (6, 7)})
    assert encoder.out_dim == 7
    assert isinstance(encoder.norm, MaskedBatchNorm)
    assert encoder(torch.randn(1, 4, 5), torch.ones(1, 4, dtype=torch.bool)).shape == (1, 4, 7)


def test_levels_and_kernel_are_needed() -> None:
    with pytest.raises(ConfigError, match=r'channels=\[\]'):
        TCN(5, ())
    with pytest.raises(ConfigError, match='kernel=0'):
        TCN(5, (4,), kernel=0)
