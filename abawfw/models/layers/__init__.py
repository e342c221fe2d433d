"""Building blocks that several components share; not registered."""

from abawfw.models.layers.attention import MultiheadAttention
from abawfw.models.layers.dropout import Dropout
from abawfw.models.layers.encoder_layer import EncoderLayer
from abawfw.models.layers.masked_batch_norm import MaskedBatchNorm
from abawfw.models.layers.position import PositionTable
from abawfw.models.layers.temporal_conv_net import TemporalConvNet

__all__ = [
    'Dropout',
    'EncoderLayer',
    'MaskedBatchNorm',
    'MultiheadAttention',
    'PositionTable',
    'TemporalConvNet',
]
