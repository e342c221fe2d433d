"""Contexts: temporal models after fusion, some of which carry state from segment to segment."""

from abawfw.models.contexts.conformer_context import ConformerContext
from abawfw.models.contexts.feed_forward import FeedForward
from abawfw.models.contexts.gru_context import GRUContext
from abawfw.models.contexts.lstm_context import LSTMContext
from abawfw.models.contexts.mamba_context import MambaContext
from abawfw.models.contexts.memory_attention import MemoryAttention
from abawfw.models.contexts.pre_norm_encoder_context import PreNormEncoderContext
from abawfw.models.contexts.transformer_context import TransformerContext

__all__ = [
    'ConformerContext',
    'FeedForward',
    'GRUContext',
    'LSTMContext',
    'MambaContext',
    'MemoryAttention',
    'PreNormEncoderContext',
    'TransformerContext',
]
