"""The parts of an estimator: built per modality, found by name, started from a checkpoint."""

from __future__ import annotations

import pickle
from difflib import get_close_matches
from typing import Any

import torch
from mmengine.registry import Registry
from torch import nn

from abawfw.errors import CheckpointError, ConfigError


def nearest(name: str, known: list[str]) -> str:
    """A sentence naming the nearest of the known names, and all of them."""
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return (f'did you mean {close[0]}? ' if close else '') + f'there are: {", ".join(known)}'


def build_per_modality(
    registry: Registry, slot: str, cfgs: dict[str, dict] | None, dims: dict[str, Any]
) -> nn.ModuleDict:
    """Build the component of each modality and put its output dim into ``dims``.

    Raises:
        ConfigError: a config is given for a modality that does not exist.
    """
    built = nn.ModuleDict()
    for name, cfg in (cfgs or {}).items():
        if name not in dims:
            raise ConfigError(f'{slot} names the modality {name}: {nearest(name, list(dims))}')
        built[name] = registry.build(cfg, default_args={'in_dim': dims[name]})
        dims[name] = built[name].out_dim
    return built


def find_part(model: nn.Module, name: str) -> nn.Module:
    """Return the sub-module ``name``.

    Raises:
        ConfigError: there is none.
    """
    modules = dict(model.named_modules())
    if not name or name not in modules:
        known = [n for n in modules if n and n.count('.') <= 1 and len(list(modules[n].parameters()))]
        raise ConfigError(f'the model has no part {name!r}: {nearest(name, known)}')
    return modules[name]


def load_part(model: nn.Module, name: str, checkpoint: str) -> None:
    """Load the sub-module ``name`` from the sub-module of the same name in a checkpoint.

    Only tensors are read from the file, never code.

    Raises:
        CheckpointError: the file cannot be read, or its parameters differ from those of the part.
    """
    try:
        content = torch.load(checkpoint, map_location='cpu', weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f'{checkpoint}, from which {name} shall start, does not exist') from error
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f'{checkpoint}, from which {name} shall start, cannot be read as a file of weights alone: {error}'
        ) from error
    weights = content.get('state_dict', content) if isinstance(content, dict) else {}
    prefix = f'{name}.'
    found = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    part = find_part(model, name)
    expected = part.state_dict()
    problems = [f'missing {k}' for k in expected if k not in found]
    problems += [f'unexpected {k}' for k in found if k not in expected]
    problems += [
        f'{k} is {tuple(found[k].shape)}, expected {tuple(v.shape)}'
        for k, v in expected.items()
        if k in found and found[k].shape != v.shape
    ]
    if problems:
        raise CheckpointError(f'{checkpoint} does not hold the weights of {name}: {"; ".join(problems)}')
    part.load_state_dict(found)
