"""Which partitions of a store are tested, and whether they can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from abawfw.datasets.stores.base import FeatureStore
from abawfw.errors import DataError


def choose_partitions(store: FeatureStore, given: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Each partition once; without a choice, val and test as far as they are there.

    Returns:
        The partitions, and notes on what is not there.

    Raises:
        DataError: there is none of them.
    """
    if given is not None:
        return list(dict.fromkeys(given)), []
    present = {v.partition for v in store.videos()}
    found: list[str] = [p for p in ('val', 'test') if p in present]
    if not found:
        others = f'only {", ".join(sorted(present))}' if present else 'nor any other'
        raise DataError(f'{store.root}: has neither val nor test videos, {others}')
    if 'test' in present:
        return found, []
    return found, [f'{store.root} has no test partition: nothing was predicted for it']


def check_partitions(store: FeatureStore, needed: Sequence[str]) -> None:
    """Refuse what the store does not have.

    Raises:
        DataError: it lacks a partition.
    """
    present = {v.partition for v in store.videos()}
    unknown = sorted(set(needed) - present)
    if unknown:
        raise DataError(
            f'{store.root}: no partition {", ".join(unknown)}; it has {", ".join(sorted(present))}'
        )


def check_labels(root: str, labels: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse val without anything to measure.

    Args:
        root: of the store, for messages.
        labels: by target and video, (frames,), NaN where there is none.

    Raises:
        DataError: a target has no label.
    """
    without = [t for t, of in labels.items() if not any(np.isfinite(x).any() for x in of.values())]
    if without:
        raise DataError(
            f'{root}: no frame of val has a label of {" and ".join(without)}; test what has labels with '
            '--target, or the videos without labels with --partition test'
        )
