"""From the config of a fold rule to one that can be asked for videos."""

from __future__ import annotations

from typing import Any

from abawfw.components import build
from abawfw.datasets.stores.base import FeatureStore
from abawfw.registry import SPLITS


def build_split(cfg: dict | None, store: FeatureStore) -> Any:
    """Build a fold rule and show it the store, if it looks at more than the list of videos.

    Args:
        cfg: config of a registered fold rule; None for the partitions that the store came with.
        store: whose videos are to be divided; the labels of all are read by a rule that balances them.

    Returns:
        The rule; ``videos(store.videos(), partition)`` gives the videos of a partition.

    Raises:
        ConfigError, DataError: as the rule does.
    """
    split = build(SPLITS, cfg or {'type': 'OfficialSplit'}, 'split')
    if hasattr(split, 'fit'):
        split.fit(store)
    return split
