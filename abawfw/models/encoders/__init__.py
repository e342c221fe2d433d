"""Encoders: temporal models of one modality, before fusion."""

from abawfw.models.encoders.attention_encoder import AttentionEncoder
from abawfw.models.encoders.attention_pooling import AttentionPooling
from abawfw.models.encoders.tcn import TCN

__all__ = ['TCN', 'AttentionEncoder', 'AttentionPooling']
