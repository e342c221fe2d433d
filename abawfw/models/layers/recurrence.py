"""A linear recurrence over time, forwards and backwards, in chunks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Frames of a chunk. All chunks advance together: L frames take 2 CHUNK + L / CHUNK steps instead of L.
CHUNK = 32


def linear_recurrence(decay: Tensor, entering: Tensor, start: Tensor) -> Tensor:
    """``h[t] = decay[t] * h[t - 1] + entering[t]``, element by element, with ``h[-1] = start``.

    Neither a quotient nor a logarithm is taken: it is exact for any decay, 0 and 1 included, and any number
    of frames, up to the rounding of float32. Its cost is linear in the number of frames.

    Args:
        decay: (batch, time, ...).
        entering: of the same shape.
        start: (batch, ...).

    Returns:
        The states after each frame, of the shape of ``decay``.
    """
    if torch.compiler.is_exporting():  # any number of frames: a loop within the graph
        return _exported(decay, entering, start)
    states: Tensor = _Recurrence.apply(decay, entering, start)
    return states


class _Recurrence(torch.autograd.Function):
    """The gradient of a recurrence is one from the last frame to the first.

    In a graph that is being compiled, either is one node: of the loops, torch would make thousands.
    """

    @staticmethod
    def forward(ctx: Any, decay: Tensor, entering: Tensor, start: Tensor) -> Tensor:
        run = _forwards_node if torch.compiler.is_dynamo_compiling() else _forwards
        states: Tensor = run(decay, entering, start)
        ctx.save_for_backward(decay, start, states)
        return states

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        decay, start, states = ctx.saved_tensors
        run = _backwards_node if torch.compiler.is_dynamo_compiling() else _backwards
        gradients: tuple[Tensor, Tensor, Tensor] = run(decay, grad, start, states)
        return gradients


def _forwards(decay: Tensor, entering: Tensor, start: Tensor) -> Tensor:
    states = torch.empty_like(entering)
    _run(decay, entering, start, states)
    return states


def _backwards(decay: Tensor, grad: Tensor, start: Tensor, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    of_entering, of_decay = torch.empty_like(decay), torch.empty_like(decay)
    of_start = _run_back(decay, grad, start, states, of_entering, of_decay)
    # a copy, or it would be a part of a larger tensor, which compiled code does not expect of an operator
    return of_decay, of_entering, of_start.clone(memory_format=torch.contiguous_format)


# Not for eager mode: torch takes a tenth of a millisecond more to call an operator that is written in Python.
_forwards_node = torch.library.custom_op('abawfw::linear_recurrence', _forwards, mutates_args=())
_backwards_node = torch.library.custom_op('abawfw::linear_recurrence_backward', _backwards, mutates_args=())


@_forwards_node.register_fake
def _(decay: Tensor, entering: Tensor, start: Tensor) -> Tensor:
    return torch.empty_like(entering)


@_backwards_node.register_fake
def _(decay: Tensor, grad: Tensor, start: Tensor, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(decay), torch.empty_like(decay), start.new_empty(start.shape)


def _run(decay: Tensor, entering: Tensor, state: Tensor, states: Tensor) -> Tensor:
    """Fill ``states``, and give the last one."""
    chunks = decay.shape[1] // CHUNK
    if chunks > 1:
        a, b, h = (_chunked(x, chunks) for x in (decay, entering, states))
        # Each chunk from nothing: what it leaves, and how much of what came before it.
        left, kept = b[:, 0], a[:, 0]
        for t in range(1, CHUNK):
            left, kept = torch.addcmul(b[:, t], a[:, t], left), kept * a[:, t]
        after = torch.empty_like(left)
        last = _run(kept, left, state, after)
        _frame_by_frame(a, b, torch.cat([state.unsqueeze(1), after[:, :-1]], dim=1), h)
        decay, entering, states = (x[:, chunks * CHUNK :] for x in (decay, entering, states))
        state = last
    return _frame_by_frame(decay, entering, state, states)


def _frame_by_frame(decay: Tensor, entering: Tensor, state: Tensor, states: Tensor) -> Tensor:
    for t in range(decay.shape[1]):
        state = torch.addcmul(entering[:, t], decay[:, t], state, out=states[:, t])
    return state


def _run_back(
    decay: Tensor, grad: Tensor, start: Tensor, states: Tensor, of_entering: Tensor, of_decay: Tensor
) -> Tensor:
    """Fill the gradients of what enters and of the decays, and give that of the start."""
    chunks, passed = decay.shape[1] // CHUNK, torch.zeros_like(start)
    if chunks <= 1:
        return _back_frame_by_frame(decay, grad, passed, start, states, of_entering, of_decay)
    whole = chunks * CHUNK
    tensors = (decay, grad, states, of_entering, of_decay)
    a, g, h, e, d = (x[:, whole:] for x in tensors)
    passed = _back_frame_by_frame(a, g, passed, states[:, whole - 1], h, e, d)
    a, g, h, e, d = (_chunked(x, chunks) for x in tensors)
    left, kept = a[:, -1] * g[:, -1], a[:, -1]
    for t in reversed(range(CHUNK - 1)):
        left, kept = a[:, t] * (g[:, t] + left), kept * a[:, t]
    after = torch.empty_like(left)
    first = _run(kept.flip(1), left.flip(1), passed, after)
    passing = torch.cat([after[:, :-1].flip(1), passed.unsqueeze(1)], dim=1)
    before = torch.cat([start.unsqueeze(1), h[:, -1, :-1]], dim=1)
    _back_frame_by_frame(a, g, passing, before, h, e, d)
    return first


def _back_frame_by_frame(
    decay: Tensor,
    grad: Tensor,
    passed: Tensor,
    start: Tensor,
    states: Tensor,
    of_entering: Tensor,
    of_decay: Tensor,
) -> Tensor:
    """Args: ``passed``, the gradient that comes from behind the last frame; returns that before the first."""
    for t in reversed(range(decay.shape[1])):
        total = torch.add(grad[:, t], passed, out=of_entering[:, t])
        torch.mul(total, states[:, t - 1] if t else start, out=of_decay[:, t])
        passed = total * decay[:, t]
    return passed


def _chunked(x: Tensor, chunks: int) -> Tensor:
    """A view (batch, CHUNK, chunks, ...) of the frames that fill chunks."""
    return x[:, : chunks * CHUNK].unflatten(1, (chunks, CHUNK)).transpose(1, 2)


def _exported(decay: Tensor, entering: Tensor, start: Tensor) -> Tensor:
    from torch._higher_order_ops.scan import scan

    def step(state: Tensor, frame: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        after = frame[0] * state + frame[1]
        return after, after.clone()

    # scan compares strides, and a row of stacked states has others than the state after it
    start = start.clone(memory_format=torch.contiguous_format)
    return scan(step, start, (decay.transpose(0, 1), entering.transpose(0, 1)))[1].transpose(0, 1)
