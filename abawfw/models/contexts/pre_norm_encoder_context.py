"""Transformer encoder whose layers normalise what enters them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from abawfw.components import Depth, Probability, Width
from abawfw.models.layers import Dropout, MultiheadAttention
from abawfw.models.layers.cpu.linear import Linear
from abawfw.models.layers.positioned_attention import positions_like
from abawfw.registry import CONTEXTS


class PreNormLayer(nn.Module):
    """Pre-norm encoder layer with GELU, parameters named as in ``torch.nn.TransformerEncoderLayer``.

    Args:
        dim: width of the sequence.
        heads: attention heads.
        ffn: width of the feed-forward part.
        dropout: fraction of attention weights and activations dropped in training.
    """

    def __init__(self, dim: int, heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(dim, heads, dropout)
        nn.init.zeros_(self.self_attn.out_proj.bias)
        self.linear1, self.linear2 = Linear(dim, ffn), Linear(ffn, dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map (batch, time, dim) to the same shape; ``mask`` (batch, time) says what may be attended to."""
        x = x + self.dropout(self.self_attn(self.norm1(x), mask=mask))
        inner = self.dropout(F.gelu(self.linear1(self.norm2(x))))
        return x + self.dropout(self.linear2(inner))


@CONTEXTS.register_module()
class PreNormEncoderContext(nn.Module):
    """Pre-norm transformer encoder within a clip, as in RAAV of team RAS (arXiv:2603.13056).

    Each layer adds to its input what it makes of the normalised one; there is no normalisation behind the
    last. Clips may have any number of frames.

    Args:
        in_dim: vector length of a frame, and width of the layers.
        layers: how many there are.
        heads: attention heads of a layer.
        ffn: width of a layer's feed-forward part.
        dropout: fraction of activations dropped in training.
        position: add sinusoidal positions to the input. Without them, as in the reference, the order of a
            clip's frames has no influence on what it gives for each.

    Raises:
        ConfigError: ``heads`` does not divide ``in_dim``.
    """

    stateful = False
    needs = 'every frame attends to all frames of its clip, later ones too'

    def __init__(
        self,
        in_dim: int,
        layers: Depth = 1,
        heads: Width = 4,
        ffn: Width = 1024,
        dropout: Probability = 0.1,
        position: bool = True,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(PreNormLayer(in_dim, heads, ffn, dropout) for _ in range(layers))
        self.position = position
        self.out_dim = in_dim

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Map ``x``, (batch, time, in_dim), to the same shape.

        Args:
            x: the frames.
            valid: (batch, time) bool, False for padding, which no frame attends to.
        """
        # A row without any frame would be a softmax over nothing: let it see all of its padding.
        mask = valid | ~valid.any(dim=1, keepdim=True)
        if self.position:
            x = x + positions_like(x)
        for layer in self.layers:
            x = layer(x, mask)
        return x
