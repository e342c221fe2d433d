"""Everything that can be said against a run before anything of it is built."""

from __future__ import annotations

from mmengine.config import Config

from abawfw.config import resolve
from abawfw.config_check import config_problems, nearest
from abawfw.datasets.stores import open_store
from abawfw.errors import ConfigError, DataError


def check_config(cfg: Config) -> None:
    """Check a loaded config: its keys, components and arguments, and that the store has its features.

    Raises:
        ConfigError: all problems, one per line.
    """
    problems = config_problems(cfg)
    try:
        resolved = resolve(cfg)
        known = open_store(resolved.data_root).features()
        problems += [
            f"features: {resolved.data_root} has no feature '{name}': {nearest(name, known)}"
            for name in resolved.features
            if name not in known
        ]
    except DataError as error:
        problems.append(f'data_root: {error}')
    except AttributeError:
        pass  # data_root or features is missing, which is among the problems already
    if problems:
        raise ConfigError(f'{cfg.filename}: {len(problems)} problem(s)\n' + '\n'.join(f'  {p}' for p in problems))
