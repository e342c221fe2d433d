"""Cheap dropout has the distribution of dropout."""

from __future__ import annotations

import pytest
import torch

from abawfw.errors import ConfigError
from abawfw.models.layers import Dropout

SIZE = 400_000


def kept(p: float, dtype: torch.dtype = torch.float32, size: int = SIZE) -> torch.Tensor:
    return (Dropout(p).train()(torch.ones(size, dtype=dtype)) != 0).double()


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('p', [0.1, 0.3, 0.5, 0.9])
def test_share_and_scale(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    out = Dropout(p).train()(torch.ones(SIZE, dtype=dtype))
    assert out.dtype == dtype
    share = (out != 0).double().mean().item()
    assert share == pytest.approx(1 - p, abs=4.5 * (p * (1 - p) / SIZE) ** 0.5)
    values = out.unique().tolist()
    assert values == pytest.approx([0, 1 / (1 - p)], rel=2**-8 if dtype == torch.bfloat16 else 2e-4)


def test_expectation_is_kept_in_bfloat16() -> None:
    torch.manual_seed(0)
    # 0.9 times a value that bfloat16 holds exactly: a mask of rounded 1 / 0.9 would be off by .16 %.
    out = Dropout(0.1).train()(torch.full((SIZE,), 0.8984375, dtype=torch.bfloat16))
    assert out.max().item() == pytest.approx(0.8984375 / 0.9, rel=2**-9)


@pytest.mark.parametrize('lag', [1, 2, 3, 4, 8, 256, 1024])
def test_elements_are_independent(lag: int) -> None:
    torch.manual_seed(1)
    mask = kept(0.3) - 0.7
    correlation = (mask[:-lag] * mask[lag:]).mean().item() / 0.21
    assert abs(correlation) < 4.5 / SIZE**0.5


def test_calls_are_independent() -> None:
    torch.manual_seed(2)
    first, second = kept(0.3) - 0.7, kept(0.3) - 0.7
    assert abs((first * second).mean().item() / 0.21) < 4.5 / SIZE**0.5


def test_every_phase_of_a_random_word_has_the_same_share() -> None:
    torch.manual_seed(3)
    shares = kept(0.1).view(-1, 4).mean(0)
    assert (shares - 0.9).abs().max().item() < 4.5 * (0.09 / (SIZE / 4)) ** 0.5


def test_gradient_uses_the_same_mask() -> None:
    torch.manual_seed(4)
    x = torch.randn(7, 11, 3, requires_grad=True)
    y = Dropout(0.4).train()(x)
    y.sum().backward()
    torch.testing.assert_close(x.grad * x.detach(), y.detach())
    assert (x.grad == 0).any()
    assert (x.grad != 0).any()


def test_seed_of_torch_decides_alone() -> None:
    x = torch.ones(1000)
    drop = Dropout(0.5).train()
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = [drop(x), drop(x)]
    torch.set_rng_state(state)
    again = [drop(x), drop(x)]
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize('shape', [(), (1,), (3, 0), (5, 3), (2, 3, 7)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    assert Dropout(0.5).train()(torch.ones(shape)).shape == shape


def test_nothing_happens_in_evaluation_or_without_share() -> None:
    x = torch.randn(10)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0).train()(x) is x


@pytest.mark.parametrize('p', [-0.1, 1.0])
def test_impossible_share(p: float) -> None:
    with pytest.raises(ConfigError, match=str(p)):
        Dropout(p)
