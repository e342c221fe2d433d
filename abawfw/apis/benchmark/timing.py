"""Doing things in turn, and what the times say."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch


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
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


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
