"""Doing things in turn, and what the times say."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from abawfw.engine.hooks.summary_hook import cpu_info, machine


class Spread(NamedTuple):
    """Median, smallest and largest of several measurements."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of these values."""
        return cls(statistics.median(values), min(values), max(values))

    @classmethod
    def of_ratios(cls, above: Sequence[float], below: Sequence[float]) -> Spread:
        """Of the ratios of measurements of the same round, which a slow minute changes alike."""
        return cls.of([a / b for a, b in zip(above, below, strict=True)])


def seconds(action: Callable[[], object]) -> float:
    """Time that an action takes, work it left on the GPU included."""
    started = time.perf_counter()
    action()
    wait()
    return time.perf_counter() - started


def cpu_seconds(action: Callable[[], object]) -> float:
    """CPU time of this process that an action takes."""
    started = time.process_time()
    action()
    return time.process_time() - started


def second_step(optimizer: torch.optim.Optimizer, loss: Callable[[], torch.Tensor]) -> Callable[[], float]:
    """A training step, taken twice, and the CPU seconds of the second.

    The memory that a step works in was given away to what was measured in between.
    """

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    def timed() -> float:
        step()
        return cpu_seconds(step)

    return timed


def wait() -> None:
    """Until the GPU has done what it was given, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def in_turn(
    actions: Mapping[str, Callable[[], Any]], rounds: int, before: Callable[[int], None] | None = None
) -> dict[str, list[Any]]:
    """Call every action once a round and collect what they return, by name.

    Every other round goes backwards, so that none always follows the same one.

    Args:
        actions: what to call, by name.
        rounds: how often.
        before: called at the start of each round with its number, from 0 on.
    """
    results: dict[str, list[Any]] = {name: [] for name in actions}
    for turn in range(rounds):
        if before is not None:
            before(turn)
        for name in list(actions)[:: -1 if turn % 2 else 1]:
            results[name].append(actions[name]())
    return results


# What makes bf16 fast on a CPU: matrix units, and before them a vector instruction.
BF16_FLAGS = ('amx_tile', 'amx_bf16', 'avx512_bf16')


def describe_machine() -> dict[str, Any]:
    """What a run notes of its machine, torch's threads, what the CPU has for bf16, load, and Python."""
    flags = set(cpu_info().get('flags', '').split())
    return {
        **machine(),
        'threads': torch.get_num_threads(),
        'bf16_flags': [flag for flag in BF16_FLAGS if flag in flags],
        'load_average': round(os.getloadavg()[0], 2),
        'python': platform.python_version(),
    }
