"""Leader-follower attention: the reference's numbers, and modalities that were not observed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_recipe import fill, parameter_names
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from abawfw.errors import ConfigError
from abawfw.models.fusions import LeaderFollowerFusion

DIMS = {'video': 128, 'logmel': 32, 'bert': 128}
SMALL = {'a': 5, 'b': 3, 'c': 4}


def everything(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.ones(x.shape[:2], dtype=torch.bool) for name, x in inputs.items()}


def our_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    shortened = {k.removeprefix('layers.').removeprefix('self_attn.'): v for k, v in weights.items()}
    return {k.replace('norm1', 'norm'): v for k, v in shortened.items()}


def random_case(seed: int, dims: dict[str, int] = SMALL) -> tuple[LeaderFollowerFusion, dict[str, Tensor]]:
    torch.manual_seed(seed)
    fusion = LeaderFollowerFusion(dims, dim=6, heads=3, dropout=0.0)
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter)
    return fusion, {name: torch.randn(2, 4, size) for name, size in dims.items()}


def test_reference_outputs_and_attention(golden_tagf: Path) -> None:
    fusion = LeaderFollowerFusion(DIMS).eval()
    fusion.load_state_dict(our_names(fill(parameter_names(golden_tagf)['mm_transformer'], 'MMTE')))
    with np.load(golden_tagf / 'mm_transformer.npz') as stored:
        numbers = {name: torch.from_numpy(stored[name]) for name in stored.files}
    inputs = {name: numbers[name] for name in DIMS}
    y = fusion(inputs, everything(inputs)).detach()
    assert fusion.out_dim == y.shape[-1] == 128 + 32 * 3
    assert torch.equal(y[..., :128], inputs['video'])
    torch.testing.assert_close(y[..., 128:], numbers['out'], rtol=0, atol=1e-5)
    _, weights = fusion.attend(inputs, everything(inputs))
    torch.testing.assert_close(weights.transpose(1, 2).detach(), numbers['attention'], rtol=0, atol=1e-6)


def without(fusion: LeaderFollowerFusion, inputs: dict[str, Tensor], kept: list[str]) -> Tensor:
    """The attended values of a fusion that has never heard of the other modalities."""
    dims = {name: inputs[name].shape[-1] for name in kept}
    smaller = LeaderFollowerFusion(dims, dim=6, heads=3, dropout=0.0)
    for name in kept:
        smaller.qkv_proj[name].load_state_dict(fusion.qkv_proj[name].state_dict())
    some = {name: inputs[name] for name in kept}
    return smaller.attend(some, everything(some))[0]


@given(st.integers(0, 200), st.sets(st.sampled_from(list(SMALL)), min_size=1))
def test_an_unobserved_modality_is_as_if_it_did_not_exist(seed: int, kept: set[str]) -> None:
    fusion, inputs = random_case(seed)
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
    fusion, inputs = random_case(seed)
    fusion.train(training)
    observed = {name: torch.rand(2, 4) < 0.6 for name in SMALL}
    garbage = {
        name: value.masked_fill(~observed[name][..., None], float('nan')).requires_grad_()
        for name, value in inputs.items()
    }
    y = fusion(inputs, observed)
    other = fusion(garbage, observed)
    torch.testing.assert_close(other, y)
    assert not y[..., : SMALL['a']][~observed['a']].any()
    other.square().sum().backward()
    for name, value in garbage.items():
        assert not value.grad[~observed[name]].any()
    assert all(torch.isfinite(p.grad).all() for p in fusion.parameters())


def test_frames_and_clips_do_not_influence_one_another() -> None:
    fusion, inputs = random_case(0)
    observed = {name: torch.ones(2, 4, dtype=torch.bool) for name in SMALL}
    observed['b'][0, 2] = False
    whole = fusion(inputs, observed)
    for batch in range(2):
        for time in range(4):
            one = (slice(batch, batch + 1), slice(time, time + 1))
            alone = fusion({k: v[one] for k, v in inputs.items()}, {k: v[one] for k, v in observed.items()})
            torch.testing.assert_close(alone, whole[one])


def test_nothing_observed_is_finite() -> None:
    fusion, inputs = random_case(1)
    y = fusion(inputs, {name: torch.zeros(2, 4, dtype=torch.bool) for name in SMALL})
    y.square().sum().backward()
    bias = F.layer_norm(fusion.o_proj.bias, (18,), fusion.norm.weight, fusion.norm.bias)
    torch.testing.assert_close(y, torch.cat([torch.zeros(5), bias]).expand(2, 4, -1))
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in fusion.parameters())


@pytest.mark.parametrize('names', ['a', 'ab', 'abc'])
def test_any_number_of_modalities(names: str) -> None:
    fusion, inputs = random_case(2, {name: SMALL[name] for name in names})
    y = fusion(inputs, everything(inputs))
    assert y.shape == (2, 4, 5 + 6 * len(names))
    assert fusion.out_dim == y.shape[-1]


def test_dropout_in_training_only() -> None:
    fusion, inputs = LeaderFollowerFusion(SMALL, dropout=0.5), random_case(3)[1]
    assert not torch.equal(fusion(inputs, everything(inputs)), fusion(inputs, everything(inputs)))
    fusion.eval()
    assert torch.equal(fusion(inputs, everything(inputs)), fusion(inputs, everything(inputs)))


def test_trains_in_half_precision() -> None:
    fusion, inputs = random_case(4)
    observed = {name: torch.rand(2, 4) < 0.6 for name in SMALL}
    with torch.autocast('cpu', torch.bfloat16):
        y = fusion(inputs, observed)
    torch.testing.assert_close(y.float(), fusion(inputs, observed), rtol=0.1, atol=0.2)
    y.float().square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in fusion.parameters())


def test_heads_divide_the_width() -> None:
    with pytest.raises(ConfigError, match='3 attention heads do not divide a width of 32'):
        LeaderFollowerFusion(SMALL, heads=3)
