"""The parts of an estimator: built per modality, found by name, started from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.registry import Registry
from torch import nn

from abawfw.checkpoints import best_checkpoint, load_checkpoint, load_state_dict
from abawfw.components import build
from abawfw.errors import ConfigError, nearest


def build_per_modality(
    registry: Registry, slot: str, cfgs: dict[str, dict] | None, dims: dict[str, Any]
) -> nn.ModuleDict:
    """Build the component of each modality and put its output dim into ``dims``.

    Raises:
        ConfigError: a config is given for a modality that does not exist, or a component cannot be built.
    """
    built = nn.ModuleDict()
    for name, cfg in (cfgs or {}).items():
        if name not in dims:
            raise ConfigError(f'{slot} names the modality {name}: {nearest(name, list(dims))}')
        place = f'model.{slot}.{name}'
        built[name] = build(registry, cfg, place, in_dim=dims[name])
        dims[name] = out_dim(built[name], place, dims[name])
    return built


def out_dim(part: nn.Module, place: str, in_dim: Any) -> int:
    """Length of the vectors that a part gives, which it says in ``out_dim``; by default, that of its input.

    Args:
        part: a component of a slot.
        place: of its config, for errors.
        in_dim: of its input; no int where it takes no vectors, or several.

    Raises:
        ConfigError: it says none, and there is no default, or one that is no length.
    """
    found = getattr(part, 'out_dim', in_dim)
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        said = f'out_dim={part.out_dim!r}' if hasattr(part, 'out_dim') else 'no out_dim'
        raise ConfigError(
            f'{place}: {type(part).__name__} has {said}: set self.out_dim to the length of the vectors that '
            'it gives'
        )
    return found


def is_stateful(context: nn.Module) -> bool:
    """Whether a context carries state from clip to clip; one that does not say so does not."""
    return bool(getattr(context, 'stateful', False))


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
