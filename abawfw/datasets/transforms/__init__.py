"""What is done to a clip between store and batch."""

from abawfw.datasets.transforms.load_features import LoadFeatures
from abawfw.datasets.transforms.normalize import Normalize
from abawfw.datasets.transforms.pack_va import PackVA
from abawfw.datasets.transforms.shift_labels import ShiftLabels

__all__ = ['LoadFeatures', 'Normalize', 'PackVA', 'ShiftLabels']
