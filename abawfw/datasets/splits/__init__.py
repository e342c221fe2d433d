"""Fold rules: which videos train and which validate."""

from abawfw.datasets.splits.official_split import OfficialSplit

__all__ = ['OfficialSplit']
