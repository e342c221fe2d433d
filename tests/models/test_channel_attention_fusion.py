"""Channel attention: the reference's numbers, and modalities that were not observed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from golden_recipe import fill, numbers, parameter_names
from hypothesis import given
from hypothesis import strategies as st
from observed_fusions import (
    SMALL,
    assert_each_frame_alone,
    assert_finite,
    assert_gradients,
    assert_trains_in_half_precision,
    everything,
    random_case,
    some_observed,
)

from abawfw.models.fusions import ChannelAttentionFusion

DIM = 6
small = partial(ChannelAttentionFusion, dim=DIM)


def test_reference_outputs(golden_tagf: Path) -> None:
    arrays = numbers(golden_tagf, 'attention_fusion')
    inputs = {name: arrays[f'{name}_BCT'].transpose(1, 2) for name in ('video', 'logmel')}
    fusion = ChannelAttentionFusion({name: x.shape[-1] for name, x in inputs.items()}, dim=128)
    weights = fill(parameter_names(golden_tagf)['attention_fusion'], 'AttentionFusion')
    for position, name in enumerate(inputs):
        weights |= {
            f'projections.{name}.{x}': weights.pop(f'attn.{position}.{x}') for x in ('weight', 'bias')
        }
    fusion.load_state_dict(weights)
    y = fusion(inputs, everything(inputs)).detach()
    assert fusion.out_dim == 256
    torch.testing.assert_close(y, arrays['out'], rtol=0, atol=1e-6)


@given(st.integers(0, 200), st.sets(st.sampled_from(list(SMALL)), min_size=1))
def test_an_unobserved_modality_is_as_if_it_did_not_exist(seed: int, kept: set[str]) -> None:
    fusion, inputs = random_case(small, seed)
    observed = {name: torch.full((2, 4), name in kept) for name in SMALL}
    smaller = small({name: SMALL[name] for name in SMALL if name in kept})
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
    fusion, inputs = random_case(small, seed)
    observed = some_observed()
    x = {name: value.requires_grad_() for name, value in inputs.items()}
    assert_each_frame_alone(fusion, x, observed).square().sum().backward()
    assert_gradients(fusion, x, observed)


def test_nothing_observed_is_zero() -> None:
    fusion, inputs = random_case(small, 1)
    y = fusion(inputs, {name: torch.zeros(2, 4, dtype=torch.bool) for name in SMALL})
    y.sum().backward()
    assert not y.any()
    assert_finite(fusion)


@pytest.mark.parametrize('names', ['a', 'ab', 'abc'])
def test_any_number_of_modalities(names: str) -> None:
    fusion, inputs = random_case(small, 2, {name: SMALL[name] for name in names})
    y = fusion(inputs, everything(inputs))
    assert y.shape == (2, 4, DIM * len(names))
    assert fusion.out_dim == y.shape[-1]


def test_trains_in_half_precision() -> None:
    assert_trains_in_half_precision(*random_case(small, 4), atol=0.3)
