"""Linear maps by way of a convolution are linear maps."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from abawfw.models.layers.cpu.linear import SMALL, Linear, linear, linear_over_time


def gradients(y: torch.Tensor, *of: torch.Tensor) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    return torch.autograd.grad((y * torch.randn(y.shape, generator=generator).to(y)).sum(), of)


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('shape', [(5,), (1, 5), (7, 5), (3, 7, 5), (2, 3, 1, 5)])
@pytest.mark.parametrize('small', [0, SMALL])
def test_as_torch_computes_it(
    shape: tuple[int, ...], bias: bool, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('abawfw.models.layers.cpu.linear.SMALL', small)
    torch.manual_seed(0)
    x = torch.randn(shape, requires_grad=True)
    weight = torch.randn(4, 5, requires_grad=True)
    rest = [torch.randn(4, requires_grad=True)] if bias else []
    found, expected = linear(x, weight, *rest), F.linear(x, weight, *rest)
    torch.testing.assert_close(found, expected)
    for a, b in zip(gradients(found, x, weight, *rest), gradients(expected, x, weight, *rest), strict=True):
        torch.testing.assert_close(a, b)


def test_transposed_input() -> None:
    x = torch.randn(3, 5, 7).mT
    layer = Linear(5, 4)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))


def test_many_rows() -> None:
    torch.manual_seed(0)
    x = torch.randn(70, 300, requires_grad=True)
    weight, bias = torch.randn(30, 300, requires_grad=True), torch.randn(30, requires_grad=True)
    assert x.numel() > SMALL
    found, expected = linear(x, weight, bias), F.linear(x, weight, bias)
    assert 'Conv' in type(found.grad_fn.next_functions[0][0].next_functions[0][0]).__name__
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    for a, b in zip(gradients(found, x, weight, bias), gradients(expected, x, weight, bias), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('small', [0, SMALL])
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
def test_over_time(dtype: torch.dtype, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('abawfw.models.layers.cpu.linear.SMALL', small)
    torch.manual_seed(0)
    x = torch.randn(3, 6, 5, dtype=dtype, requires_grad=True)
    weight = torch.randn(6, 6, dtype=dtype, requires_grad=True)
    bias = torch.randn(6, dtype=dtype, requires_grad=True)
    found, expected = linear_over_time(x, weight, bias), F.linear(x.mT, weight, bias).mT
    torch.testing.assert_close(found, expected)
    for a, b in zip(gradients(found, x, weight, bias), gradients(expected, x, weight, bias), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_other_types_are_left_to_torch(dtype: torch.dtype) -> None:
    x, weight = torch.randn(3, 5, dtype=dtype), torch.randn(4, 5, dtype=dtype)
    assert torch.equal(linear(x, weight), F.linear(x, weight))


def test_autocast_decides_the_type() -> None:
    x, weight = torch.randn(3, 5), torch.randn(4, 5)
    with torch.autocast('cpu', torch.bfloat16):
        assert linear(x, weight).dtype == torch.bfloat16
        assert linear_over_time(x[None], torch.randn(3, 3), torch.randn(3)).dtype == torch.bfloat16


def test_nothing_in_nothing_out() -> None:
    assert linear(torch.zeros(2, 0, 5), torch.zeros(4, 5)).shape == (2, 0, 4)
