"""The checkpoints of a run's targets, each set of weights once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from abawfw.apis.build import fitted_of
from abawfw.checkpoints import load_checkpoint


class Weights(NamedTuple):
    """A checkpoint, the targets it is taken for, and the content of its file."""

    checkpoint: Path
    targets: tuple[str, ...]
    stored: dict[str, Any]


def distinct_weights(checkpoints: Mapping[str, Path]) -> list[Weights]:
    """Read the checkpoints of targets, in their order.

    Targets that are best in the same epoch have files with the same weights, and are put together.

    Raises:
        CheckpointError: a checkpoint cannot be read.
    """
    stored = {path: load_checkpoint(path) for path in dict.fromkeys(checkpoints.values())}
    found: list[Weights] = []
    for target, path in checkpoints.items():
        for index, other in enumerate(found):
            if path == other.checkpoint or _same(stored[path], other.stored):
                found[index] = other._replace(targets=(*other.targets, target))
                break
        else:
            found.append(Weights(path, (target,), stored[path]))
    return found


def same_fitted(one: list[dict[str, Any]] | None, other: list[dict[str, Any]] | None) -> bool:
    """Whether transforms took the same from the training videos, as ``fitted_of`` gives it."""
    if one is None or other is None:
        return one is other
    return [step.keys() for step in one] == [step.keys() for step in other] and all(
        np.array_equal(x, y)
        for ours, theirs in zip(one, other, strict=True)
        for name in ours
        for x, y in zip(ours[name], theirs[name], strict=True)
    )


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    ours, theirs = one['state_dict'], other['state_dict']
    return (
        ours.keys() == theirs.keys()
        and all(torch.equal(x, theirs[name]) for name, x in ours.items())
        and same_fitted(fitted_of(one['meta']), fitted_of(other['meta']))
    )
