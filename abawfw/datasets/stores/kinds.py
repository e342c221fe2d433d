"""Finding the right kind of store."""

from __future__ import annotations

from pathlib import Path

from abawfw.datasets.stores.base import FeatureStore
from abawfw.errors import DataError
from abawfw.registry import STORES


def store_kinds() -> dict[str, type[FeatureStore]]:
    """Every registered store by its short name, e.g. 'packed' and 'trials'; sorted."""
    return {
        cls.short_name: cls for cls in sorted(STORES.module_dict.values(), key=lambda cls: cls.short_name)
    }


def find_store_kind(path: str | Path) -> type[FeatureStore]:
    """The kind of store that lies in a folder, by a glance at the names in it.

    Raises:
        DataError: no such folder, or no registered store recognises it.
    """
    root = Path(path)
    if not root.is_dir():
        raise DataError(f'{root}: no such folder; give the folder of a store')
    kinds = store_kinds()
    for cls in kinds.values():
        if cls.recognises(root):
            return cls
    known = '; '.join(
        f'{name}: {" or ".join(cls.marks) or "a rule of its own"}' for name, cls in kinds.items()
    )
    raise DataError(f'{root}: no store of a known kind; what lies in the folder says which it is ({known})')


def open_store(path: str | Path) -> FeatureStore:
    """Open whatever kind of store lies in a folder.

    >>> store = open_store('data/demo')
    >>> video = store.videos()[0]
    >>> store.read(video.video_id, 'affectnet', 0, 3).shape, store.labels(video.video_id, 0, 3).shape
    ((3, 48), (3, 2))
    """
    return find_store_kind(path)(path)


def with_check_data(error: DataError, root: str | Path) -> str:
    """What is wrong with a data set at the start, and how to see everything that is."""
    if not Path(root).is_dir():
        return str(error)
    return f'{error}; python tools/check_data.py {root} lists everything'
