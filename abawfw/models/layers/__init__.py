"""Building blocks that several components share; not registered."""

from abawfw.models.layers.cpu.dropout import Dropout
from abawfw.models.layers.masked_batch_norm import MaskedBatchNorm
from abawfw.models.layers.recurrence import linear_recurrence
from abawfw.models.layers.temporal_conv_net import TemporalConvNet
from abawfw.models.layers.transformer import EncoderLayer, MultiheadAttention, PositionTable

__all__ = [
    'Dropout',
    'EncoderLayer',
    'MaskedBatchNorm',
    'MultiheadAttention',
    'PositionTable',
    'TemporalConvNet',
    'linear_recurrence',
]
