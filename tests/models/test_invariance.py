"""What must not change a prediction: padding, neighbours in the batch, lanes."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_cases import CONTEXTS, build, clip, split

from abawfw.structures import VABatch

LENGTH = 7
VIDEOS = {'p': 20, 'q': 7, 'r': 13, 's': 1}
TOLERANCE = {'rtol': 0, 'atol': 1e-5}


@cache
def model_of(name: str) -> Any:
    return build(name).eval()


@cache
def features_of(video: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(ord(video))
    return torch.randn(VIDEOS[video], 8, generator=generator)


def run(model: Any, batch: list[tuple[str, int, int]], padded: int, lanes: list[int]) -> list[torch.Tensor]:
    """Predictions of a batch of (video, start, stop), a video '' being a filler."""
    x = torch.zeros(len(batch), padded, 8)
    samples = []
    for i, (video, start, stop) in enumerate(batch):
        if video:
            x[i, : stop - start] = features_of(video)[start:stop]
        samples.append(clip(video, start, stop - start, padded, lanes[i]))
    with torch.no_grad():
        return model(split(x), VABatch.of(samples), mode='predict')[0].predictions()


def segments(video: str) -> list[tuple[str, int, int]]:
    n = VIDEOS[video]
    return [(video, s, min(s + LENGTH, n)) for s in range(0, n, LENGTH)]


@cache
def alone(name: str, video: str) -> torch.Tensor:
    """Predictions of a video on its own, without any padding."""
    model = model_of(name)
    model.reset_lanes()
    return torch.cat([run(model, [s], s[2] - s[1], [0])[0] for s in segments(video)])


@pytest.mark.parametrize('name', CONTEXTS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_padding_neighbours_and_lanes_change_nothing(name: str, data: st.DataObject) -> None:
    expected = {video: alone(name, video) for video in VIDEOS}
    model = model_of(name)
    model.reset_lanes()
    # Videos are dealt to lanes; each lane runs its videos one after the other, idle lanes are fillers.
    videos = data.draw(st.permutations(list(VIDEOS)))
    lanes = data.draw(st.integers(1, 4))
    queues: list[list[tuple[str, int, int]]] = [[] for _ in range(lanes)]
    for video in videos:
        queues[data.draw(st.integers(0, lanes - 1))] += segments(video)
    numbers = data.draw(st.permutations(range(10)))[:lanes]
    found: dict[str, list[torch.Tensor]] = {video: [] for video in VIDEOS}
    while any(queues):
        batch = [queue.pop(0) if queue else ('', 0, 0) for queue in queues]
        order = data.draw(st.permutations(range(lanes)))
        padded = max(stop - start for _, start, stop in batch) + data.draw(st.integers(0, 5))
        rows = run(model, [batch[i] for i in order], padded, [numbers[i] for i in order])
        for i, pred in zip(order, rows, strict=True):
            if batch[i][0]:
                found[batch[i][0]].append(pred)
            else:
                assert pred.shape == (0, 2)
    for video, parts in found.items():
        torch.testing.assert_close(torch.cat(parts), expected[video], **TOLERANCE)


@pytest.mark.parametrize('train', [True, False])
@pytest.mark.parametrize('name', CONTEXTS)
def test_padding_gets_no_gradient(name: str, train: bool) -> None:
    model = build(name).train(train)
    x = torch.randn(3, 9, 8, requires_grad=True)
    for start in (0, 9):
        samples = [clip('u', start, 9, 9, 0), clip('v', start, 4, 9, 1), clip('', 0, 0, 9, 2)]
        if start:
            samples[1] = clip('w', 0, 4, 9, 1)
        x.grad = None
        sum(model(split(x), VABatch.of(samples), mode='loss').values()).backward()
    assert x.grad is not None
    assert (x.grad[1, 4:] == 0).all()
    assert (x.grad[2] == 0).all()
    assert (x.grad[0] != 0).any(-1).all()
    assert (x.grad[1, :4] != 0).any(-1).all()
    for key, p in model.named_parameters():
        assert p.grad is not None, key
        assert p.grad.isfinite().all(), key


@pytest.mark.parametrize('name', CONTEXTS)
def test_a_batch_of_fillers_has_zero_loss_and_zero_gradients(name: str) -> None:
    model = build(name).train()
    fillers = VABatch.of([clip('', 0, 0, 5, i) for i in range(2)])
    losses = model(split(torch.zeros(2, 5, 8)), fillers, mode='loss')
    total = sum(losses.values())
    assert total.item() == 0
    total.backward()
    assert all(p.grad is None or (p.grad == 0).all() for p in model.parameters())
    assert model.lane_state() == {}
