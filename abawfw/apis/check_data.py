"""Checking the data that a config uses, or all data of a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from abawfw.config.loading import load_config, resolve
from abawfw.datasets.checking.check import DataReport, check_store
from abawfw.datasets.stores.kinds import find_store_kind, store_kinds
from abawfw.errors import ConfigError, nearest


def check_data(target: str | Path, progress: Callable[[int, int], None] | None = None) -> DataReport:
    """Check the data that a config uses, or all data of a store.

    Args:
        target: a config file (.py; its training store and its features) or the folder of a store.
        progress: called before each video with the videos done and all videos.

    Raises:
        DataError: there is no such folder, or nothing in it that looks like a store.
        ConfigError: the config cannot be loaded or names no store.

    >>> check_data('data/demo').count('error')
    0
    """
    target = Path(target)
    if target.suffix != '.py':
        return check_store(find_store_kind(target), target, None, progress)
    config = resolve(load_config(target))
    try:
        store, features = config.train_dataloader.dataset.store, list(config.features)
        root = store if isinstance(store, str) else store['root']
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError(
            f'{target}: needs features and train_dataloader.dataset.store ({error}); give the folder of the '
            'store instead to check all of it'
        ) from error
    if isinstance(store, str):
        return check_store(find_store_kind(root), root, features, progress)
    kinds = {cls.__name__: cls for cls in store_kinds().values()}
    kind = store.get('type')
    if kind not in kinds:
        raise ConfigError(f'{target}: store of type {kind!r}; {nearest(str(kind), kinds)}')
    return check_store(kinds[kind], root, features, progress)
