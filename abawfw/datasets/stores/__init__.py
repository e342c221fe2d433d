"""Where features and labels lie. Registered here: one store per layout on disk."""

from abawfw.datasets.stores.base import FeatureStore
from abawfw.datasets.stores.kinds import open_store
from abawfw.datasets.stores.packed.store import PackedStore
from abawfw.datasets.stores.records import FeatureInfo, VideoInfo
from abawfw.datasets.stores.rucaim3.store import RUCAIM3Store
from abawfw.datasets.stores.trials.store import TrialStore

__all__ = [
    'FeatureInfo',
    'FeatureStore',
    'PackedStore',
    'RUCAIM3Store',
    'TrialStore',
    'VideoInfo',
    'open_store',
]
