"""What is done between store and model: to a clip, and what draws at random to a batch."""

from abawfw.datasets.transforms.batch_transform import BatchTransform
from abawfw.datasets.transforms.centre_crop import CentreCrop
from abawfw.datasets.transforms.label_noise import LabelNoise
from abawfw.datasets.transforms.load_features import LoadFeatures
from abawfw.datasets.transforms.load_predictions import LoadPredictions
from abawfw.datasets.transforms.modality_dropout import ModalityDropout
from abawfw.datasets.transforms.noise import Noise
from abawfw.datasets.transforms.normalize import Normalize
from abawfw.datasets.transforms.pack_va import PackVA
from abawfw.datasets.transforms.pad_to import PadTo
from abawfw.datasets.transforms.random_crop_flip import RandomCropFlip
from abawfw.datasets.transforms.shift_labels import ShiftLabels

__all__ = [
    'BatchTransform',
    'CentreCrop',
    'LabelNoise',
    'LoadFeatures',
    'LoadPredictions',
    'ModalityDropout',
    'Noise',
    'Normalize',
    'PackVA',
    'PadTo',
    'RandomCropFlip',
    'ShiftLabels',
]
