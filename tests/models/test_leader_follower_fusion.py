"""Leader-follower attention: the reference's numbers, and modalities that were not observed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from golden_recipe import fill, numbers, parameter_names
from hypothesis import given
from hypothesis import strategies as st
from observed_fusions import (
    SMALL,
    assert_each_frame_alone,
    assert_gradients,
    assert_trains_in_half_precision,
    everything,
    random_case,
    some_observed,
)
from torch import Tensor

from abawfw.errors import ConfigError
from abawfw.models.fusions import LeaderFollowerFusion

DIMS = {'video': 128, 'logmel': 32, 'bert': 128}
small = partial(LeaderFollowerFusion, dim=6, heads=3, dropout=0.0)


def our_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    shortened = {k.removeprefix('layers.').removeprefix('self_attn.'): v for k, v in weights.items()}
    return {k.replace('norm1', 'norm'): v for k, v in shortened.items()}


def test_reference_outputs_and_attention(golden_tagf: Path) -> None:
    fusion = LeaderFollowerFusion(DIMS).eval()
    fusion.load_state_dict(our_names(fill(parameter_names(golden_tagf)['mm_transformer'], 'MMTE')))
    arrays = numbers(golden_tagf, 'mm_transformer')
    inputs = {name: arrays[name] for name in DIMS}
    y = fusion(inputs, everything(inputs)).detach()
    assert fusion.out_dim == y.shape[-1] == 128 + 32 * 3
    assert torch.equal(y[..., :128], inputs['video'])
    torch.testing.assert_close(y[..., 128:], arrays['out'], rtol=0, atol=1e-5)
    _, weights = fusion.attend(inputs, everything(inputs))
    torch.testing.assert_close(weights.transpose(1, 2).detach(), arrays['attention'], rtol=0, atol=1e-6)


def without(fusion: LeaderFollowerFusion, inputs: dict[str, Tensor], kept: list[str]) -> Tensor:
    """The attended values of a fusion that has never heard of the other modalities."""
    smaller = small({name: inputs[name].shape[-1] for name in kept})
    for name in kept:
        smaller.qkv_proj[name].load_state_dict(fusion.qkv_proj[name].state_dict())
    some = {name: inputs[name] for name in kept}
    return smaller.attend(some, everything(some))[0]


@given(st.integers(0, 200), st.sets(st.sampled_from(list(SMALL)), min_size=1))
def test_an_unobserved_modality_is_as_if_it_did_not_exist(seed: int, kept: set[str]) -> None:
    fusion, inputs = random_case(small, seed)
    observed = {name: torch.full((2, 4), name in kept) for name in SMALL}
    x = {name: value * (name in kept) for name, value in inputs.items()}
    mixed, weights = fusion.attend(x, observed)
    columns = [i for i, name in enumerate(SMALL) if name in kept]
    expected = without(fusion, inputs, [name for name in SMALL if name in kept])
    torch.testing.assert_close(mixed[:, :, :, columns], expected)
    away = [i for i in range(3) if i not in columns]
    assert not weights[..., away].any()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 3, 3))


@given(st.integers(0, 200), st.booleans())
def test_what_was_not_observed_has_no_influence(seed: int, training: bool) -> None:
    fusion, inputs = random_case(small, seed)
    fusion.train(training)
    observed = some_observed()
    garbage = {
        name: value.masked_fill(~observed[name][..., None], float('nan')).requires_grad_()
        for name, value in inputs.items()
    }
    y = fusion(inputs, observed)
    other = fusion(garbage, observed)
    torch.testing.assert_close(other, y)
    assert not y[..., : SMALL['a']][~observed['a']].any()
    other.square().sum().backward()
    assert_gradients(fusion, garbage, observed)


def test_frames_and_clips_do_not_influence_one_another() -> None:
    fusion, inputs = random_case(small, 0)
    observed = {name: torch.ones(2, 4, dtype=torch.bool) for name in SMALL}
    observed['b'][0, 2] = False
    assert_each_frame_alone(fusion, inputs, observed)


def test_nothing_observed_is_finite() -> None:
    fusion, inputs = random_case(small, 1)
    y = fusion(inputs, {name: torch.zeros(2, 4, dtype=torch.bool) for name in SMALL})
    y.square().sum().backward()
    bias = F.layer_norm(fusion.o_proj.bias, (18,), fusion.norm.weight, fusion.norm.bias)
    torch.testing.assert_close(y, torch.cat([torch.zeros(5), bias]).expand(2, 4, -1))
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in fusion.parameters())


@pytest.mark.parametrize('names', ['a', 'ab', 'abc'])
def test_any_number_of_modalities(names: str) -> None:
    fusion, inputs = random_case(small, 2, {name: SMALL[name] for name in names})
    y = fusion(inputs, everything(inputs))
    assert y.shape == (2, 4, 5 + 6 * len(names))
    assert fusion.out_dim == y.shape[-1]


def test_dropout_in_training_only() -> None:
    fusion, inputs = LeaderFollowerFusion(SMALL, dropout=0.5), random_case(small, 3)[1]
    assert not torch.equal(fusion(inputs, everything(inputs)), fusion(inputs, everything(inputs)))
    fusion.eval()
    assert torch.equal(fusion(inputs, everything(inputs)), fusion(inputs, everything(inputs)))


def test_trains_in_half_precision() -> None:
    assert_trains_in_half_precision(*random_case(small, 4), atol=0.2)


def test_heads_divide_the_width() -> None:
    with pytest.raises(ConfigError, match='3 attention heads do not divide a width of 32'):
        LeaderFollowerFusion(SMALL, heads=3)
