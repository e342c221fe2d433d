"""Weights that do not fit: parts of a model say why."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from abawfw.checkpoints import explain_mismatch, load_state_dict
from abawfw.errors import CheckpointError
from abawfw.models.fusions.co_attention_fusion import CoAttentionFusion


def fusion(length: int | None, time_mix: str = 'linear', dim: int = 3) -> nn.Module:
    built = CoAttentionFusion({'a': dim, 'b': 2}, time_mix=time_mix, length=length, steps=1)
    return nn.ModuleDict({'fusion': built})


def test_windows_of_another_length() -> None:
    weights = fusion(20).state_dict()
    with pytest.raises(CheckpointError) as caught:
        load_state_dict(fusion(30), weights, Path('best.pth'))
    assert str(caught.value) == (
        'best.pth: trained on windows of 20 frames, the config has windows of 30: set window=20; weights for '
        "windows of any length need a time_mix other than 'linear', and training"
    )


@pytest.mark.parametrize('weights', [fusion(30, dim=4), fusion(None, 'identity')])
def test_what_no_part_explains_is_listed(weights: nn.Module) -> None:
    model = fusion(30)
    assert explain_mismatch(model, weights.state_dict()) is None
    with pytest.raises(CheckpointError, match='belongs to another architecture or feature list'):
        load_state_dict(model, weights.state_dict(), Path('best.pth'))


def test_weights_that_fit_need_no_explanation() -> None:
    model, other = fusion(30), fusion(30)
    assert explain_mismatch(model, other.state_dict()) is None
    load_state_dict(model, other.state_dict(), Path('best.pth'))
    for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
