"""Everything that is wrong with a run, before anything of it is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from abawfw.config.check import config_problems, written_problems
from abawfw.config.loading import raise_problems, resolve_references
from abawfw.datasets.stores import open_store
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.kinds import with_check_data
from abawfw.errors import DataError, nearest


def check_config(cfg: Config, training: bool = False, weights: bool = False) -> None:
    """Check a loaded config: its keys, components and arguments, and that the store has its features.

    Args:
        cfg: loaded config, references not resolved.
        training: also check what only training needs: videos to train and validate on, values that the
            components accept, packages of trackers, and the files that weights are to be read from.
        weights: check these files, though nothing is trained.

    Raises:
        ConfigError: all problems, one per line.
    """
    partly_resolved = resolve_references(cfg)[0]
    resolved = partly_resolved.to_dict()
    problems = config_problems(cfg)
    store, found = _data_problems(
        resolved.get('data_root'), resolved.get('features'), resolved.get('optional') or ()
    )
    problems += found
    if training and store is not None and not problems:
        from abawfw.apis.check_build import build_problems

        problems += build_problems(partly_resolved, store)
    if training:
        from abawfw.apis.build import missing_trackers

        problems += missing_trackers(resolved)
    if training and not problems:
        problems += written_problems(cfg)
    start = resolved.get('load_from')
    if training and isinstance(start, str) and not Path(start).is_file():
        problems.append(f'load_from: {start}: no such checkpoint')
    if training or weights:
        from abawfw.models.weight_files import missing_weights  # brings torch along

        problems += missing_weights(resolved.get('model'))
    raise_problems(cfg, problems)


def _data_problems(root: Any, features: Any, optional: Any) -> tuple[FeatureStore | None, list[str]]:
    """The store, and problems of it and of the features asked of it; missing keys are reported elsewhere."""
    problems: list[str] = []
    names = (
        [name for name in features if isinstance(name, str)] if isinstance(features, (list, tuple)) else []
    )
    twice = sorted({name for name in names if names.count(name) > 1})
    problems += [f"features: '{name}' is named twice" for name in twice]
    if not isinstance(root, str):
        return None, problems
    try:
        store = open_store(root)
        known = store.feature_names()
    except DataError as error:
        return None, [*problems, f'data_root: {with_check_data(error, root)}']
    optional = optional if isinstance(optional, (list, tuple)) else ()
    for name in [name for name in names if name not in known and name not in optional]:
        hint = nearest(name, known)
        if ',' in name:
            hint = f'separate names by spaces on the command line: --features {name.replace(",", " ")}'
        problems.append(f"features: {root} has no feature '{name}': {hint}")
    return store, problems
