"""Where features and labels lie. Registered here: one store per layout on disk."""

from abawfw.datasets.stores.base import FeatureInfo, FeatureStore, VideoInfo
from abawfw.datasets.stores.kinds import open_store
from abawfw.datasets.stores.packed import PackedStore
from abawfw.datasets.stores.rucaim3 import RUCAIM3Store
from abawfw.datasets.stores.trial_store import TrialStore

__all__ = [
    'FeatureInfo',
    'FeatureStore',
    'PackedStore',
    'RUCAIM3Store',
    'TrialStore',
    'VideoInfo',
    'open_store',
]
