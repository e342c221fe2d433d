"""Channel attention: the reference's numbers, and modalities that were not observed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from golden_recipe import fill, parameter_names
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from abawfw.models.fusions import ChannelAttentionFusion

SMALL = {'a': 5, 'b': 3, 'c': 4}
DIM = 6


def everything(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.ones(x.shape[:2], dtype=torch.bool) for name, x in inputs.items()}


def random_case(seed: int, dims: dict[str, int] = SMALL) -> tuple[ChannelAttentionFusion, dict[str, Tensor]]:
    torch.manual_seed(seed)
    fusion = ChannelAttentionFusion(dims, dim=DIM)
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter)
    return fusion, {name: torch.randn(2, 4, size) for name, size in dims.items()}


def test_reference_outputs(golden_tagf: Path) -> None:
    with np.load(golden_tagf / 'attention_fusion.npz') as stored:
        numbers = {name: torch.from_numpy(stored[name]) for name in stored.files}
    inputs = {name: numbers[f'{name}_BCT'].transpose(1, 2) for name in ('video', 'logmel')}
    fusion = ChannelAttentionFusion({name: x.shape[-1] for name, x in inputs.items()}, dim=128)
    weights = fill(parameter_names(golden_tagf)['attention_fusion'], 'AttentionFusion')
    for position, name in enumerate(inputs):
        weights |= {
            f'projections.{name}.{x}': weights.pop(f'attn.{position}.{x}') for x in ('weight', 'bias')
        }
    fusion.load_state_dict(weights)
    y = fusion(inputs, everything(inputs)).detach()
    assert fusion.out_dim == 256
    torch.testing.assert_close(y, numbers['out'], rtol=0, atol=1e-6)


@given(st.integers(0, 200), st.sets(st.sampled_from(list(SMALL)), min_size=1))
def test_an_unobserved_modality_is_as_if_it_did_not_exist(seed: int, kept: set[str]) -> None:
    fusion, inputs = random_case(seed)
    observed = {name: torch.full((2, 4), name in kept) for name in SMALL}
    smaller = ChannelAttentionFusion({name: SMALL[name] for name in SMALL if name in kept}, dim=DIM)
    columns = torch.tensor([DIM * i + j for i, name in enumerate(SMALL) if name in kept for j in range(DIM)])
    state = {k: v for k, v in fusion.state_dict().items() if k in smaller.state_dict()}
    state['weights.weight'] = state['weights.weight'][columns][:, columns]
    state['weights.bias'] = state['weights.bias'][columns]
    smaller.load_state_dict(state)
    y = fusion(inputs, observed)
    some = {name: inputs[name] for name in SMALL if name in kept}
    torch.testing.assert_close(y[..., columns], smaller(some, everything(some)))
    away = [i for i in range(3 * DIM) if i not in columns]
    assert not y[..., away].any()


@given(st.integers(0, 200))
def test_each_frame_and_modality_counts_only_where_it_was_observed(seed: int) -> None:
    fusion, inputs = random_case(seed)
    observed = {name: torch.rand(2, 4) < 0.6 for name in SMALL}
    x = {name: value.requires_grad_() for name, value in inputs.items()}
    y = fusion(x, observed)
    for batch in range(2):
        for time in range(4):
            one = (slice(batch, batch + 1), slice(time, time + 1))
            alone = fusion({k: v[one] for k, v in inputs.items()}, {k: v[one] for k, v in observed.items()})
            torch.testing.assert_close(alone, y[one])
    y.square().sum().backward()
    for name, value in x.items():
        assert not value.grad[~observed[name]].any()
    assert all(torch.isfinite(p.grad).all() for p in fusion.parameters())


def test_nothing_observed_is_zero() -> None:
    fusion, inputs = random_case(1)
    y = fusion(inputs, {name: torch.zeros(2, 4, dtype=torch.bool) for name in SMALL})
    y.sum().backward()
    assert not y.any()
    assert all(torch.isfinite(p.grad).all() for p in fusion.parameters())


@pytest.mark.parametrize('names', ['a', 'ab', 'abc'])
def test_any_number_of_modalities(names: str) -> None:
    fusion, inputs = random_case(2, {name: SMALL[name] for name in names})
    y = fusion(inputs, everything(inputs))
    assert y.shape == (2, 4, DIM * len(names))
    assert fusion.out_dim == y.shape[-1]


def test_trains_in_half_precision() -> None:
    fusion, inputs = random_case(4)
    observed = {name: torch.rand(2, 4) < 0.6 for name in SMALL}
    with torch.autocast('cpu', torch.bfloat16):
        y = fusion(inputs, observed)
    torch.testing.assert_close(y.float(), fusion(inputs, observed), rtol=0.1, atol=0.3)
    y.float().square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in fusion.parameters())
