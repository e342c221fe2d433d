"""Heads: from a sequence to valence and arousal, and the losses they are trained with."""

from abawfw.models.heads.bin_head import BinHead, Bins, make_bins
from abawfw.models.heads.regression_head import RegressionHead
from abawfw.models.heads.tanh_head import TanhHead
from abawfw.models.heads.va_head import HeadOutput, VAHead

__all__ = ['BinHead', 'Bins', 'HeadOutput', 'RegressionHead', 'TanhHead', 'VAHead', 'make_bins']
