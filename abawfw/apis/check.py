"""Everything that can be said against a run before anything of it is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from abawfw.config import raise_problems, resolve_references
from abawfw.config_check import config_problems
from abawfw.datasets.stores import open_store
from abawfw.errors import DataError, nearest


def check_config(cfg: Config, training: bool = False) -> None:
    """Check a loaded config: its keys, components and arguments, and that the store has its features.

    Args:
        cfg: loaded config, references not resolved.
        training: also check that the files are there which training starts from; testing does without.

    Raises:
        ConfigError: all problems, one per line.
    """
    resolved = resolve_references(cfg)[0].to_dict()
    problems = config_problems(cfg)
    problems += _data_problems(
        resolved.get('data_root'), resolved.get('features'), resolved.get('optional') or ()
    )
    if training:
        from abawfw.models.weight_files import missing_weights  # brings torch along

        problems += missing_weights(resolved.get('model'))
    raise_problems(cfg, problems)


def with_check_data(error: DataError, root: Any) -> str:
    """What is wrong with a data set at the start, and how to see everything that is."""
    if not Path(root).is_dir():
        return str(error)
    return f'{error}; python tools/check_data.py {root} lists everything'


def _data_problems(root: Any, features: Any, optional: Any) -> list[str]:
    """Problems of the store and of the features asked of it; missing keys are reported elsewhere."""
    problems = []
    names = features if isinstance(features, (list, tuple)) else []
    if features is not None and not names:
        problems.append(f"features: must be a list such as ['affectnet', 'vggish'], not {features!r}")
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    problems += [f"features: '{name}' is named twice" for name in twice]
    if root is None:
        return problems
    try:
        known = open_store(root).feature_names()
    except DataError as error:
        return [*problems, f'data_root: {with_check_data(error, root)}']
    unknown = [name for name in names if name not in known and name not in optional]
    return problems + [
        f"features: {root} has no feature '{name}': {nearest(name, known)}" for name in unknown
    ]
