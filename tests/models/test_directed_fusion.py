"""Directed and mixed attention of modalities that were not observed; arguments that are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from abawfw.errors import ConfigError
from abawfw.models.fusions import DirectedFusion, MixtureOfExpertsFusion

DIMS = {'a': 3, 'b': 4}
SMALL = {'dim': 8, 'layers': 2, 'heads': 2}


def inputs(frames: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {m: torch.randn(2, frames, dim, generator=generator) for m, dim in DIMS.items()}


@pytest.mark.parametrize('kind', [DirectedFusion, MixtureOfExpertsFusion])
def test_a_modality_that_is_never_observed(kind: Any) -> None:
    """Clips without any key attend to nothing: neither to what was missed nor to padding."""
    torch.manual_seed(0)
    directions = {'query': 'a', 'key': 'b', 'value': 'b'} if kind is DirectedFusion else {}
    fusion = kind(DIMS, **directions, **SMALL).eval()
    x = inputs(9)
    seen = torch.ones(2, 9, dtype=torch.bool)
    seen[:, 6:] = False
    observed = {'a': seen, 'b': seen & torch.tensor([[False], [True]])}
    found = fusion(x, observed)
    alone = fusion({m: v[:, :6] for m, v in x.items()}, {m: v[:, :6] for m, v in observed.items()})
    torch.testing.assert_close(found[:, :6], alone, rtol=0, atol=1e-5)
    other = fusion({**x, 'b': x['b'] + 1}, observed)
    torch.testing.assert_close(other[0], found[0], rtol=0, atol=0)
    assert (other[1, :6] - found[1, :6]).abs().min(dim=-1)[0].max() > 1e-4


def test_the_mean_is_that_of_the_observed_modalities() -> None:
    torch.manual_seed(0)
    fusion = DirectedFusion(DIMS, **SMALL).eval()
    everywhere, nowhere = torch.ones(2, 5, dtype=torch.bool), torch.zeros(2, 5, dtype=torch.bool)
    streams = {m: fusion.projections[m](v) for m, v in inputs(5).items()}
    found = fusion.attend(streams, {'a': everywhere, 'b': nowhere})
    expected = fusion.attend({**streams, 'b': streams['a']}, dict.fromkeys(DIMS, everywhere))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ('dims', 'directions', 'message'),
    [
        (DIMS, {'query': 'c'}, "DirectedFusion.query='c'.: no modality, "),
        (DIMS, {'query': 'a', 'key': 'a', 'value': 'a'}, 'b would have no influence with query=.a.'),
        ({'fusion': 3, 'b': 4}, {}, "a modality cannot be called 'fusion'"),
        (DIMS, {'heads': 3}, '3 attention heads do not divide a width of 8'),
    ],
)
def test_arguments_that_are_refused(dims: dict[str, int], directions: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DirectedFusion(dims, **{**SMALL, **directions})


def test_experts_need_a_pair() -> None:
    with pytest.raises(ConfigError, match='there is only a: add a modality, or take DirectedFusion'):
        MixtureOfExpertsFusion({'a': 3}, **SMALL)
