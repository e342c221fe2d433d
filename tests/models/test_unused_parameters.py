"""Distributed training searches a step for unused parameters only where a model may have some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from model_cases import CONTEXTS, build
from torch import Tensor, nn

from abawfw.config.loading import load_config, resolve
from abawfw.models.parts import is_stateful
from abawfw.registry import MODELS

pytestmark = pytest.mark.usefixtures('shipped_configs_are_read_once')
CONFIGS = Path(__file__).parents[2] / 'configs'
DEMOS = sorted(path for system in ('tagf', 'ras') for path in (CONFIGS / system).glob('*_demo.py'))
DIM, ROWS, FRAMES = 8, 2, 12


def model_of(path: Path) -> Any:
    """The model of a config on short vectors, its backbones omitted."""
    cfg = resolve(load_config(path, {'window': FRAMES}))
    model = cfg.model.to_dict()
    inputs = dict.fromkeys(cfg.features, DIM)
    without = {'backbones': {}, 'frozen': (), 'pretrained': {}, 'input_dims': inputs}
    return MODELS.build(model | without)


def masks(names: list[str]) -> list[dict[str, Tensor]]:
    """Everything observed, nothing, and all but one modality."""
    every, none = torch.ones(ROWS, FRAMES, dtype=torch.bool), torch.zeros(ROWS, FRAMES, dtype=torch.bool)
    lacking = [{n: none if n == name else every for n in names} for name in names]
    return [dict.fromkeys(names, every), dict.fromkeys(names, none), *lacking]


def unused(model: Any, observed: dict[str, Tensor], first: bool) -> set[str]:
    """Parameters without a gradient after one step, at the start of all videos or within them."""
    model.train().zero_grad(set_to_none=True)
    valid = torch.stack(list(observed.values())).any(dim=0)
    x = {name: torch.randn(ROWS, FRAMES, dim) for name, dim in model.input_dims.items()}
    x |= {name: encoder(x[name], observed[name]) for name, encoder in model.encoders.items()}
    y = model.fusion(x, observed)
    for context in model.context:
        if not is_stateful(context):
            y = context(y, valid)
            continue
        state = context.initial_state(ROWS, y.device)
        if not first:
            state = context(torch.randn_like(y), torch.ones_like(valid), state)[1]
        y = context(y, valid, state)[0]
    output = model.head(y.float(), valid)
    sum(model.head.loss(output, torch.rand(ROWS, FRAMES, len(model.targets)), valid).values()).backward()
    return {name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}


@pytest.mark.parametrize('case', [*CONTEXTS, *DEMOS], ids=lambda case: getattr(case, 'stem', case))
def test_every_step_uses_every_parameter(case: str | Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(case) if isinstance(case, str) else model_of(case)
    assert not model.skips_parameters
    # as in distributed training, where an empty memory takes part, too
    for name in ('is_available', 'is_initialized'):
        monkeypatch.setattr(f'abawfw.models.contexts.memory_attention.{name}', lambda: True)
    for observed in masks(list(model.input_dims)):
        for first in {True, not model.stateful}:
            assert unused(model, observed, first) == set()


def test_models_that_may_leave_some_out() -> None:
    class Own(nn.Module):
        out_dim = 8

    model = build('transformer')
    model.fusion = Own()
    assert model.skips_parameters
    model.fusion.skips_parameters = False
    assert not model.skips_parameters
    model.backbones['a'] = nn.Linear(3, 3)  # runs on no frame where none was observed
    assert model.skips_parameters
    model.backbones.requires_grad_(False)
    assert not model.skips_parameters
