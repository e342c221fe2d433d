"""Batch normalisation over a mask: torch's own over the frames that are there."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from abawfw.models.layers import MaskedBatchNorm

DIM = 5


def pair() -> tuple[MaskedBatchNorm, nn.BatchNorm1d]:
    """One of ours and one of torch's with the same weights and running statistics."""
    theirs = nn.BatchNorm1d(DIM)
    for value in (theirs.weight, theirs.bias, theirs.running_mean):
        nn.init.normal_(value)
    nn.init.uniform_(theirs.running_var, 0.5, 2)
    ours = MaskedBatchNorm(DIM)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def same_buffers(ours: nn.Module, theirs: nn.Module) -> None:
    for (name, mine), (other_name, other) in zip(ours.named_buffers(), theirs.named_buffers(), strict=True):
        assert name == other_name
        torch.testing.assert_close(mine, other, msg=name)


def test_names_are_those_of_torch() -> None:
    ours, theirs = pair()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert {k: v.dtype for k, v in ours.state_dict().items()} == {
        k: v.dtype for k, v in theirs.state_dict().items()
    }


@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 9), st.floats(0, 1))
def test_is_batch_norm_of_the_frames_in_the_mask(seed: int, batch: int, time: int, share: float) -> None:
    torch.manual_seed(seed)
    ours, theirs = (module.double() for module in pair())
    mask = torch.rand(batch, time) < share
    x = 3 * torch.randn(batch, time, DIM, dtype=torch.double) + 2
    cotangent = torch.randn_like(x) * mask[..., None]
    if mask.sum() < 2:
        theirs.eval()
    mine, other = x.clone().requires_grad_(), x[mask].requires_grad_()
    y, expected = ours(mine, mask), theirs(other)
    torch.testing.assert_close(y[mask], expected)
    (y * cotangent).sum().backward()
    (expected * cotangent[mask]).sum().backward()
    torch.testing.assert_close(mine.grad[mask], other.grad, rtol=1e-6, atol=1e-8)
    assert not mine.grad[~mask].any()
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    torch.testing.assert_close(ours.bias.grad, theirs.bias.grad)
    same_buffers(ours, theirs)


@pytest.mark.parametrize('masked', [False, True])
def test_statistics_in_single_precision(masked: bool) -> None:
    ours, theirs = pair()
    mask = torch.ones(12, 300, dtype=torch.bool)
    mask[:, 200:] = not masked
    x = 0.01 * torch.randn(12, 300, DIM) + 3  # far from 0: a difference of squares would lose its digits
    theirs.double()
    torch.testing.assert_close(ours(x, mask)[mask], theirs(x[mask].double()).float(), rtol=0, atol=1e-3)


def test_frames_outside_the_mask_are_normalised_alike_and_change_nothing() -> None:
    ours, _ = pair()
    x, mask = torch.randn(2, 7, DIM), torch.ones(2, 7, dtype=torch.bool)
    mask[1, 3:] = False
    x[1, 5] = x[0, 2]
    before = ours.state_dict()
    before = {k: v.clone() for k, v in before.items()}
    y = ours(x, mask)
    torch.testing.assert_close(y[1, 5], y[0, 2])
    after = {k: v.clone() for k, v in ours.state_dict().items()}
    ours.load_state_dict(before)
    other = x.clone()
    other[1, 3:] = 1e3
    assert torch.equal(ours(other, mask)[mask], y[mask])
    for name, value in ours.state_dict().items():
        assert torch.equal(value, after[name]), name


@pytest.mark.parametrize('frames', [0, 1])
def test_too_few_frames_for_a_variance(frames: int) -> None:
    ours, theirs = pair()
    before = {k: v.clone() for k, v in ours.state_dict().items()}
    x, mask = torch.randn(1, 4, DIM, requires_grad=True), torch.zeros(1, 4, dtype=torch.bool)
    mask[0, :frames] = True
    y = ours(x, mask)
    torch.testing.assert_close(y.transpose(1, 2), theirs.eval()(x.transpose(1, 2)))
    y.sum().backward()
    assert torch.isfinite(x.grad).all()
    for name, value in ours.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_evaluation_uses_running_statistics_and_no_mask() -> None:
    ours, theirs = pair()
    x = torch.randn(2, 6, DIM)
    expected = theirs.eval()(x.transpose(1, 2)).transpose(1, 2)
    for mask in (torch.ones(2, 6, dtype=torch.bool), torch.zeros(2, 6, dtype=torch.bool)):
        torch.testing.assert_close(ours.eval()(x, mask), expected)


def constant_inputs(masked: bool) -> tuple[Tensor, Tensor]:
    mask = torch.ones(2, 8, dtype=torch.bool)
    mask[0, 6:] = not masked
    return torch.full((2, 8, DIM), 0.3, requires_grad=True), mask


@pytest.mark.parametrize('masked', [False, True])
def test_a_constant_channel_stays_finite(masked: bool) -> None:
    ours, _ = pair()
    x, mask = constant_inputs(masked)
    y = ours(x, mask)
    torch.testing.assert_close(y[mask], ours.bias.detach().expand(int(mask.sum()), -1), atol=1e-3, rtol=0)
    (y * torch.randn_like(y)).sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize('masked', [False, True])
def test_half_precision_keeps_its_type_and_float_statistics(masked: bool) -> None:
    ours, theirs = pair()
    x, mask = torch.randn(3, 50, DIM).bfloat16(), torch.ones(3, 50, dtype=torch.bool)
    mask[0, 20:] = not masked
    with torch.autocast('cpu', torch.bfloat16):
        y = ours(x, mask)
    assert y.dtype == torch.bfloat16
    expected = theirs(x[mask].float())
    torch.testing.assert_close(y[mask].float(), expected, rtol=2**-7, atol=2**-7)
    same_buffers(ours, theirs)
