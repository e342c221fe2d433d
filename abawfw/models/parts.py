"""The parts of an estimator: built per modality, found by name, started from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.registry import Registry
from torch import nn

from abawfw.checkpoints import best_checkpoint, load_checkpoint, load_state_dict
from abawfw.errors import ConfigError, nearest


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


def load_part(model: nn.Module, name: str, source: str) -> None:
    """Load the sub-module ``name`` from the sub-module of the same name of a trained model.

    Args:
        model: what the part belongs to.
        name: of the part, such as ``context.0``.
        source: a checkpoint, or the work_dir of a run, whose best one by mean CCC is taken.

    Raises:
        CheckpointError: the file cannot be read, or its parameters differ from those of the part.
    """
    path = Path(source)
    path = best_checkpoint(path, 'ccc') if path.is_dir() else path
    weights = load_checkpoint(path)['state_dict']
    prefix = f'{name}.'
    found = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    load_state_dict(find_part(model, name), found, path)
