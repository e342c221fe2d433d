"""Fold rules: which videos train and which validate."""

from abawfw.datasets.splits.balanced_k_fold import BalancedKFold
from abawfw.datasets.splits.official_split import OfficialSplit
from abawfw.datasets.splits.rolled_k_fold import RolledKFold

__all__ = ['BalancedKFold', 'OfficialSplit', 'RolledKFold']
