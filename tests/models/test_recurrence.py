"""The linear recurrence and Mamba's scan: in chunks what they are frame by frame, however long."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from abawfw.errors import ConfigError
from abawfw.models.contexts import MambaContext, mamba_context
from abawfw.models.layers import linear_recurrence, recurrence


def plain(decay: Tensor, entering: Tensor, state: Tensor) -> Tensor:
    states = []
    for a, b in zip(decay.unbind(1), entering.unbind(1), strict=True):
        state = a * state + b
        states.append(state)
    return torch.stack(states, dim=1)


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(2, 5), st.integers(0, 100))
def test_is_the_loop_over_frames_and_so_are_its_gradients(frames: int, chunk: int, seed: int) -> None:
    torch.manual_seed(seed)
    decay = torch.rand(2, frames, 3, dtype=torch.double)
    decay[:, ::4] *= torch.tensor([0.0, 1.0, 1e-300], dtype=torch.double)  # any decay
    given = [decay, torch.randn(2, frames, 3, dtype=torch.double), torch.randn(2, 3, dtype=torch.double)]
    for tensor in given:
        tensor.requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recurrence, 'CHUNK', chunk)
        found = linear_recurrence(*given)
        cotangent = torch.randn_like(found)
        grads = torch.autograd.grad(found, given, cotangent)
    expected = plain(*given)
    torch.testing.assert_close(found, expected)
    for ours, other in zip(grads, torch.autograd.grad(expected, given, cotangent), strict=True):
        torch.testing.assert_close(ours, other)


def test_what_a_compiler_is_told_of_the_operators_is_what_they_do() -> None:
    """Shapes and layouts, of two chunks and a rest."""
    decay, entering, start = torch.rand(1, 70, 3), torch.randn(1, 70, 3), torch.randn(1, 2, 3)[:, 1]
    states, grad = plain(decay, entering, start), torch.randn(1, 1, 3).expand(1, 70, 3)
    checks = 'test_schema', 'test_faketensor'
    forwards, backwards = torch.ops.abawfw.linear_recurrence, torch.ops.abawfw.linear_recurrence_backward
    torch.library.opcheck(forwards.default, (decay, entering, start), test_utils=checks)
    torch.library.opcheck(backwards.default, (decay, grad, start, states), test_utils=checks)


def test_a_clip_of_5000_frames_is_what_single_frames_give(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setitem(mamba_context.PART, 'cpu', 2**14)  # several parts, each of several chunks
    context = MambaContext(8, layers=1, states=4)
    x, one = torch.randn(1, 5000, 8), torch.ones(1, 1, dtype=torch.bool)
    with torch.no_grad():
        whole, last = context(x, one.expand(1, 5000), context.initial_state(1))
        state, frames = context.initial_state(1), []
        for frame in x.split(1, dim=1):
            y, state = context(frame, one, state)
            frames.append(y)
    torch.testing.assert_close(torch.cat(frames, dim=1), whole, rtol=0, atol=1e-5)
    for found, expected in zip(state, last, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_parts_have_the_gradients_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    context = MambaContext(8, layers=2, carry=False)
    x, valid = torch.randn(2, 50, 8), torch.arange(50) < torch.tensor([[50], [31]])
    found = []
    for part in (2**20, 2 * 8 * 8 * 7):  # all frames at once, and seven
        monkeypatch.setitem(mamba_context.PART, 'cpu', part)
        context.zero_grad()
        context(x, valid)[valid].square().sum().backward()
        found.append([p.grad.clone() for p in context.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_the_memory_of_the_paper_is_longer_than_that_of_the_authors() -> None:
    def left_after(frames: int, initial: str) -> float:
        torch.manual_seed(0)
        context = MambaContext(16, layers=1, initial=initial)
        valid = torch.ones(1, frames, dtype=torch.bool)
        _, (_, memory) = context(torch.randn(1, 8, 16), valid[:, :8], context.initial_state(1))
        rest = torch.zeros(1, frames, 16)
        context.layers[0].mixer.in_proj.weight.data[:16] = 0  # nothing enters any more
        _, (_, after) = context(rest, valid, (torch.zeros(1, 1, 3, 16), memory))
        return (after.norm() / memory.norm()).item()

    with torch.no_grad():
        assert left_after(16, 'authors') < 1e-3
        assert left_after(16, 'paper') > 0.2


def test_float32_within_autocast() -> None:
    torch.manual_seed(0)
    context = MambaContext(16, layers=2)
    x, valid = torch.randn(2, 300, 16), torch.ones(2, 300, dtype=torch.bool)
    exact, _ = context(x, valid, context.initial_state(2))
    with torch.autocast('cpu', torch.bfloat16):
        y, state = context(x, valid, context.initial_state(2))
    assert all(s.dtype == torch.float32 for s in state)
    torch.testing.assert_close(y.float(), exact, rtol=0.1, atol=0.1)


def test_padding_may_hold_anything() -> None:
    context = MambaContext(8, layers=2)
    x, valid = torch.randn(2, 9, 8), torch.arange(9) < torch.tensor([[9], [4]])
    _, clean = context(x, valid, context.initial_state(2))
    y, state = context(x.masked_fill(~valid[..., None], torch.nan), valid, context.initial_state(2))
    assert torch.isfinite(y).all()
    for found, expected in zip(state, clean, strict=True):
        torch.testing.assert_close(found, expected)


def test_unknown_initial_values() -> None:
    with pytest.raises(ConfigError, match="'zeros': choose one of paper, authors"):
        MambaContext(8, initial='zeros')
