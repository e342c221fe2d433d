"""Contexts: temporal models after fusion, some of which carry state from segment to segment."""

from abawfw.models.contexts.feed_forward import FeedForward
from abawfw.models.contexts.lstm_context import LSTMContext
from abawfw.models.contexts.mamba_context import MambaContext
from abawfw.models.contexts.memory_attention import MemoryAttention
from abawfw.models.contexts.pre_norm_encoder_context import PreNormEncoderContext
from abawfw.models.contexts.transformer_context import TransformerContext

__all__ = [
    'FeedForward',
    'LSTMContext',
    'MambaContext',
    'MemoryAttention',
    'PreNormEncoderContext',
    'TransformerContext',
]
