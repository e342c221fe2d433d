"""Where features and labels lie. Registered here: one store per layout on disk."""

from abawfw.datasets.stores.base import FeatureInfo, FeatureStore, VideoInfo

__all__ = ['FeatureInfo', 'FeatureStore', 'VideoInfo']
