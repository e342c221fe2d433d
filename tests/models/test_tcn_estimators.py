"""Whole estimators: padding and what was not observed change neither predictions nor training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_cases import DIMS, clip
from torch import Tensor

from abawfw.models.layers import Dropout
from abawfw.registry import MODELS
from abawfw.structures import VABatch

ATTENTION = {'dim': 8, 'layers': 1, 'heads': 2, 'dropout': 0.0}
FUSIONS: dict[str, dict[str, Any]] = {
    'lfan': {'type': 'LeaderFollowerFusion', 'dim': 8, 'heads': 2, 'dropout': 0.0},
    'can': {'type': 'ChannelAttentionFusion', 'dim': 8},
    'attention encoders': {'type': 'DirectedFusion', **ATTENTION},
    'directed': {'type': 'DirectedFusion', 'query': 'a', 'key': 'b', 'value': 'fusion', **ATTENTION},
    'experts': {'type': 'MixtureOfExpertsFusion', **ATTENTION},
    'reliability': {'type': 'ReliabilityFusion', 'tokens': 'a', 'dim': 8, 'heads': 2},
    'pooled': {'type': 'ReliabilityFusion', 'tokens': 'a', 'dim': 8, 'heads': 2},
}
TCN = {'type': 'TCN', 'channels': (6, 7), 'kernel': 3, 'dropout': 0.0}
ENCODERS: dict[str, dict[str, Any] | None] = {
    'attention encoders': {'type': 'AttentionEncoder', **ATTENTION},
    'directed': None,
    'experts': None,
    'reliability': None,
    'pooled': {'type': 'AttentionPooling', 'frames': 4, 'hidden': 5, 'dropout': 0.0},
}
LENGTHS = (12, 9, 3)


def build(name: str, dropout: float = 0.0) -> Any:
    """A model, with every dropout, that of positions too, as said."""
    torch.manual_seed(0)
    encoder = ENCODERS.get(name, TCN)
    model = MODELS.build(
        {
            'type': 'VAEstimator',
            'input_dims': DIMS,
            'encoders': dict.fromkeys(DIMS, encoder) if encoder else {},
            'fusion': FUSIONS[name],
            'head': {'type': 'TanhHead', 'layers': [] if name == 'lfan' else [10]},
        }
    )
    for module in model.modules():
        if isinstance(module, Dropout):
            module.p = dropout
    return model


def batch(order: list[int], padded: int, garbage: float, seed: int) -> tuple[dict[str, Tensor], VABatch]:
    """Clips of which parts were not observed, where the inputs hold ``garbage``, as in padding."""
    inputs = {name: torch.full((len(order), padded, size), garbage) for name, size in DIMS.items()}
    samples = []
    for row, i in enumerate(order):
        generator = torch.Generator().manual_seed(100 * seed + i)
        sample = clip(f'video {i}', 0, LENGTHS[i], padded)
        sample.gt_va[: LENGTHS[i]] = torch.rand(LENGTHS[i], 2, generator=generator)
        for column, (name, size) in enumerate(DIMS.items()):
            seen = torch.rand(LENGTHS[i], generator=generator) < 0.7
            x = torch.randn(LENGTHS[i], size, generator=generator)
            sample.observed[: LENGTHS[i], column] = seen
            inputs[name][row, : LENGTHS[i]][seen] = x[seen]
        samples.append(sample)
    return inputs, VABatch.of(samples)


changes = {
    'order': st.permutations(range(len(LENGTHS))),
    'padding': st.integers(0, 9),
    'garbage': st.sampled_from([1.0, -1e3]),
    'seed': st.integers(0, 50),
}


@pytest.mark.parametrize('name', FUSIONS)
@settings(max_examples=10, deadline=None)
@given(**changes)
def test_predictions(name: str, order: list[int], padding: int, garbage: float, seed: int) -> None:
    model = build(name).eval()
    alone = {
        i: model(*batch([i], LENGTHS[i], 0.0, seed), mode='predict')[0].predictions()[0]
        for i in range(len(LENGTHS))
    }
    (together,) = model(*batch(order, max(LENGTHS) + padding, garbage, seed), mode='predict')
    for i, found in zip(order, together.predictions(), strict=True):
        torch.testing.assert_close(found, alone[i], rtol=0, atol=1e-5)


def step(name: str, inputs: dict[str, Tensor], samples: VABatch) -> dict[str, Tensor]:
    model = build(name)
    losses = model(inputs, samples, mode='loss')
    sum(losses.values()).backward()
    gradients = {f'gradient of {n}': p.grad for n, p in model.named_parameters()}
    return {**losses, **gradients, **dict(model.named_buffers())}


@pytest.mark.parametrize('name', FUSIONS)
@settings(max_examples=10, deadline=None)
@given(**changes)
def test_training(name: str, order: list[int], padding: int, garbage: float, seed: int) -> None:
    expected = step(name, *batch([0, 1, 2], max(LENGTHS), 0.0, seed))
    found = step(name, *batch(order, max(LENGTHS) + padding, garbage, seed))
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(
            found[key], value, rtol=1e-3, atol=1e-5, msg=lambda text, key=key: f'{key}: {text}'
        )


@pytest.mark.parametrize('name', FUSIONS)
def test_training_in_half_precision(name: str) -> None:
    model = build(name, dropout=0.1)
    inputs, samples = batch([0, 1, 2], max(LENGTHS), 0.0, 0)
    exact = model.eval()(inputs, samples).va
    with torch.autocast('cpu', torch.bfloat16):
        rough = model(inputs, samples).va
        losses = model.train()(inputs, samples, mode='loss')
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.05)
    sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize('name', FUSIONS)
def test_nothing_observed_at_all(name: str) -> None:
    model = build(name)
    inputs, samples = batch([0, 1], max(LENGTHS), 0.0, 0)
    samples.observed[:] = False
    losses = model(inputs, samples, mode='loss')
    sum(losses.values()).backward()
    assert all(value.item() == 0 for value in losses.values())
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
    assert torch.isfinite(samples.predictions()[0]).all()


def test_a_part_of_which_nothing_was_seen_has_no_token() -> None:
    """The fusion attends to the tokens of the parts that were seen, and to no zeros of another."""
    model, handed = build('pooled').eval(), []
    model.fusion.register_forward_pre_hook(lambda fusion, given: handed.append(given[1]))
    first = [1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]  # parts of four frames: nothing of the second
    sample = clip('video', 0, 10, 12)  # the last part has two frames, and padding
    sample.observed[:, 0] = torch.tensor(first, dtype=torch.bool)
    sample.observed[10:] = False
    model(
        {name: torch.randn(1, 12, size) for name, size in DIMS.items()}, VABatch.of([sample]), mode='predict'
    )
    name = next(iter(DIMS))
    assert handed[0][name].int().tolist() == [[1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0]]
