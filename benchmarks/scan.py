"""Mamba's scan: its cost by length, and a training step of `MambaContext` against the transformer's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from abawfw.models.contexts import MambaContext, TransformerContext
from benchmarks.timing import Spread, cpu_seconds, in_turn, second_step

WIDTH, LAYERS = 256, 4


def benchmark_scan(
    rounds: int,
    lengths: tuple[int, ...] = (1000, 2000, 4000, 8000, 16000),
    batch: int = 16,
    frames: int = 250,
) -> dict[str, Any]:
    """Measure on the CPU, in CPU seconds of this process.

    Args:
        rounds: how often everything is measured, after once that is not.
        lengths: frames of the clips that one forward pass takes, one clip at a time.
        batch: clips of a training step.
        frames: of each of them.

    Returns:
        For each length, microseconds per frame of a forward pass, and as a multiple of those of the shortest
        clip in the same round, which is 1 where the cost is linear. CPU seconds of a training step of each
        model, and those of `MambaContext` as a multiple of the transformer's in the same round. The largest
        difference between a clip at once and frame by frame.
    """
    torch.manual_seed(0)
    mamba = MambaContext(WIDTH, LAYERS)
    actions: dict[str, Callable[[], float]] = {}
    for length in lengths:
        actions[f'{length}'] = _forward(mamba, length)
    actions['mamba'] = _step(MambaContext(WIDTH, LAYERS, carry=False), batch, frames)
    actions['transformer'] = _step(TransformerContext(WIDTH, WIDTH, LAYERS), batch, frames)
    in_turn(actions, 1)
    took = in_turn(actions, rounds)
    per_frame = {n: [1e6 * s / n for s in took[f'{n}']] for n in lengths}
    figures: dict[str, Any] = {
        f'{n}_frames': {
            'microseconds_per_frame': Spread.of(per_frame[n]),
            'over_shortest': Spread.of_ratios(per_frame[n], per_frame[lengths[0]]),
        }
        for n in lengths
    }
    return figures | {
        'mamba_step_cpu_seconds': Spread.of(took['mamba']),
        'transformer_step_cpu_seconds': Spread.of(took['transformer']),
        'mamba_over_transformer': Spread.of_ratios(took['mamba'], took['transformer']),
        'largest_difference_frame_by_frame': _difference(mamba, lengths[0]),
    }


def _forward(context: MambaContext, length: int) -> Callable[[], float]:
    x, valid = torch.randn(1, length, WIDTH), torch.ones(1, length, dtype=torch.bool)

    return partial(cpu_seconds, torch.inference_mode()(lambda: context(x, valid, context.initial_state(1))))


def _step(context: torch.nn.Module, batch: int, frames: int) -> Callable[[], float]:
    x, valid = torch.randn(batch, frames, WIDTH), torch.ones(batch, frames, dtype=torch.bool)
    return second_step(torch.optim.Adam(context.parameters()), lambda: context(x, valid).square().mean())


@torch.inference_mode()
def _difference(context: MambaContext, length: int) -> float:
    x, valid = torch.randn(1, length, WIDTH), torch.ones(1, length, dtype=torch.bool)
    whole, _ = context.stream(x, valid, context.initial_state(1))
    state, frames = context.initial_state(1), []
    for frame in x.split(1, dim=1):
        y, state = context.stream(frame, valid[:, :1], state)
        frames.append(y)
    return (torch.cat(frames, dim=1) - whole).abs().max().item()
