"""The recipe by which the golden numbers of TAGF's family were made (golden/tagf/README.md)."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def _normal(key: str, shape: Sequence[int]) -> np.ndarray:
    rng = np.random.RandomState(zlib.crc32(key.encode()) & 0xFFFFFFFF)
    return np.asarray(rng.standard_normal(tuple(shape))).astype(np.float32)


def fill(shapes: Mapping[str, Sequence[int]], tag: str) -> dict[str, Tensor]:
    """Weights of a module, by the reference's names.

    Args:
        shapes: shape of each parameter and buffer, as in parameter_names.json.
        tag: of the module, as the README lists them.
    """
    return {name: torch.from_numpy(_weight(name, shape, tag)) for name, shape in shapes.items()}


def _weight(name: str, shape: Sequence[int], tag: str) -> np.ndarray:
    z, last = _normal(f'{tag}:{name}', shape), name.rpartition('.')[2]
    if last == 'num_batches_tracked':
        return np.array(0)
    if last == 'running_mean' or last == 'init_hidden':
        return 0.1 * z
    if last == 'running_var':
        return 0.5 + np.abs(z)
    if last == 'weight_g':
        return 1 + 0.1 * z
    if last.startswith('bias'):
        return 0.05 * z
    return z / math.sqrt(math.prod(shape[1:])) if len(shape) >= 2 else 1 + 0.1 * z


def golden_input(name: str, shape: Sequence[int], scale: float = 1.0) -> Tensor:
    """An input of the golden numbers."""
    return torch.from_numpy(_normal(f'input:{name}', shape) * np.float32(scale))


def parameter_names(golden_tagf: Path) -> dict[str, dict[str, list[int]]]:
    """Of each golden module: its parameters and buffers, by the reference's names, with their shapes."""
    return json.loads((golden_tagf / 'parameter_names.json').read_text())


def numbers(golden: Path, name: str) -> dict[str, Tensor]:
    """The arrays of a golden file."""
    with np.load(golden / f'{name}.npz') as arrays:
        return {k: torch.from_numpy(v) for k, v in arrays.items()}
