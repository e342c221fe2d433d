"""The gate's priors, tokens of another rate, clips without any, and arguments that are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from abawfw.errors import ConfigError
from abawfw.models.contexts import PreNormEncoderContext
from abawfw.models.fusions import ReliabilityFusion
from abawfw.models.fusions.reliability_fusion import token_starts

DIMS = {'a': 3, 'b': 4, 'sound': 2}
FRAMES = 6


def fusion_of(**arguments: Any) -> ReliabilityFusion:
    torch.manual_seed(0)
    fusion = ReliabilityFusion(DIMS, tokens='sound', dim=8, heads=2, **arguments).eval()
    with torch.no_grad():
        for p in fusion.parameters():
            p.normal_(0, 0.5)
    return fusion


def test_without_scores_the_weights_are_the_priors_of_what_was_observed() -> None:
    fusion = ReliabilityFusion(DIMS, {'a': 3, 'b': 1}, 'sound', dim=8)
    for score in fusion.scores.values():
        torch.nn.init.zeros_(score[-1].weight)
        torch.nn.init.zeros_(score[-1].bias)
    seen = torch.tensor([[[True, True], [True, False], [False, True], [False, False]]])
    weights = fusion.weights(torch.randn(1, 4, 2, 8), seen)
    expected = torch.tensor([[[0.75, 0.25], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]])
    torch.testing.assert_close(weights, expected)


def test_tokens_are_runs_of_equal_observed_vectors() -> None:
    tokens = torch.tensor([[1.0, 1.0, 2.0, 2.0, 2.0, 2.0]])[..., None].expand(-1, -1, 2)
    seen = torch.tensor([[True, True, True, False, True, True]])
    expected = torch.tensor([[True, False, True, False, True, False]])
    assert torch.equal(token_starts(tokens, seen), expected)
    assert not token_starts(tokens, torch.zeros_like(seen)).any()


@pytest.mark.parametrize('normalize_all', [True, False])
def test_a_clip_without_tokens(normalize_all: bool) -> None:
    fusion = fusion_of(normalize_all=normalize_all)
    x = {m: torch.randn(1, FRAMES, dim) for m, dim in DIMS.items()}
    seen = {m: torch.full((1, FRAMES), m != 'sound') for m in DIMS}
    found = fusion(x, seen)
    vectors = fusion.vectors(x, seen)
    token = (fusion.weights(vectors, torch.ones(1, FRAMES, 2, dtype=torch.bool))[..., None] * vectors).sum(2)
    expected = fusion.norm(token) if normalize_all else token
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'priors': {'a': 1, 'c': 1}}, 'priors name c, which the gate does not weigh; it weighs a, b'),
        ({'priors': {'a': 1, 'b': 1, 'sound': 1}}, 'priors name sound'),
        ({'priors': {'a': 1}}, 'priors lack b: give one for each modality'),
        ({'priors': {'a': 1, 'b': 0}}, 'by priors above 0'),
        ({'tokens': 'soud'}, "tokens='soud'.: "),
    ],
)
def test_arguments_that_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ReliabilityFusion(DIMS, **{'tokens': 'sound', **arguments})


@pytest.mark.parametrize('position', [True, False])
def test_the_order_of_frames_matters_with_positions_only(position: bool) -> None:
    torch.manual_seed(0)
    context = PreNormEncoderContext(8, heads=2, ffn=8, position=position).eval()
    x, valid = torch.randn(1, FRAMES, 8), torch.ones(1, FRAMES, dtype=torch.bool)
    difference = (context(x.flip(1), valid).flip(1) - context(x, valid)).abs().max()
    assert (difference > 0.01) if position else (difference < 1e-5)
