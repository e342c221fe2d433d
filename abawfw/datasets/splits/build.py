"""From the config of a fold rule to one that can be asked for videos."""

from __future__ import annotations

import functools
import logging
from typing import Any

from mmengine.logging import print_log

from abawfw.components import build
from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.records import VideoInfo, groups_of
from abawfw.errors import counted, few
from abawfw.registry import SPLITS


def build_split(cfg: dict | None, store: FeatureStore) -> Any:
    """Build a fold rule and show it the store, if it looks at more than the list of videos.

    Whatever the rule, a warning says so where a group of videos, such as those of one person, is trained on
    and validated with.

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
    if text := _parted(split, store.videos()):
        _warn(f'{store.root}: {text}')
    return split


def parted_groups(train: list[VideoInfo], val: list[VideoInfo]) -> list[str]:
    """Names of the groups that have videos on both sides, sorted."""
    groups = groups_of([*train, *val]).of
    sides = ({groups[v.video_id] for v in side if v.video_id in groups} for side in (train, val))
    return sorted(set.intersection(*sides))


def _parted(split: Any, videos: tuple[VideoInfo, ...]) -> str | None:
    if not all(any(v.partition == p for v in videos) for p in ('train', 'val')):
        return None  # a rule may refuse a missing partition, and none was asked for yet
    parted = parted_groups(*(split.videos(videos, partition) for partition in ('train', 'val')))
    if not parted:
        return None
    return (
        f'{type(split).__name__} has videos of {counted(len(parted), "group")} both in train and in val '
        f'({few(parted)}): scores on val say nothing of persons or sessions '
        'that were not '
        'trained on. BalancedKFold keeps groups whole'
    )


@functools.cache
def _warn(text: str) -> None:
    """Once: each partition of a run builds the rule again."""
    print_log(text, logger='current', level=logging.WARNING)
