"""What tests of fusions that are told which modalities were observed have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

SMALL = {'a': 5, 'b': 3, 'c': 4}


def everything(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.ones(x.shape[:2], dtype=torch.bool) for name, x in inputs.items()}


def random_case(
    make: Callable[[dict[str, int]], Any], seed: int, dims: dict[str, int] = SMALL
) -> tuple[Any, dict[str, Tensor]]:
    """A fusion with weights that all matter, and two clips of four frames."""
    torch.manual_seed(seed)
    fusion = make(dims)
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter)
    return fusion, {name: torch.randn(2, 4, size) for name, size in dims.items()}


def some_observed() -> dict[str, Tensor]:
    return {name: torch.rand(2, 4) < 0.6 for name in SMALL}


def assert_each_frame_alone(
    fusion: nn.Module, inputs: dict[str, Tensor], observed: dict[str, Tensor]
) -> Tensor:
    """What the fusion gives, which is what it gives for every frame apart."""
    whole = fusion(inputs, observed)
    for batch in range(2):
        for time in range(4):
            one = (slice(batch, batch + 1), slice(time, time + 1))
            alone = fusion({k: v[one] for k, v in inputs.items()}, {k: v[one] for k, v in observed.items()})
            torch.testing.assert_close(alone, whole[one])
    return whole


def assert_gradients(fusion: nn.Module, inputs: dict[str, Tensor], observed: dict[str, Tensor]) -> None:
    """Finite ones of the weights, none of what was not observed."""
    for name, value in inputs.items():
        assert not value.grad[~observed[name]].any()
    assert_finite(fusion)


def assert_finite(fusion: nn.Module) -> None:
    assert all(torch.isfinite(p.grad).all() for p in fusion.parameters())


def assert_trains_in_half_precision(fusion: nn.Module, inputs: dict[str, Tensor], atol: float) -> None:
    observed = some_observed()
    with torch.autocast('cpu', torch.bfloat16):
        y = fusion(inputs, observed)
    torch.testing.assert_close(y.float(), fusion(inputs, observed), rtol=0.1, atol=atol)
    y.float().square().sum().backward()
    assert_finite(fusion)
