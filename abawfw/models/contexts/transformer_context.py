"""Transformer encoder over the frames of a clip."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from abawfw.components import Depth, Probability, Width
from abawfw.errors import ConfigError
from abawfw.models.layers import EncoderLayer, PositionTable
from abawfw.models.layers.transformer import attention_mask
from abawfw.registry import CONTEXTS


@CONTEXTS.register_module()
class TransformerContext(nn.Module):
    """Transformer encoder within a clip (docs/rucaim3.md, The four models).

    Args:
        in_dim: vector length of a frame.
        hidden: width of the encoder.
        layers: number of encoder layers.
        heads: attention heads of a layer.
        ffn: width of a layer's feed-forward part.
        dropout: fraction of activations dropped in training.
        affine: map the input linearly to ``hidden`` first; without it ``in_dim`` must be ``hidden``.
        position: add the sinusoidal position table.
        residual: add the encoder's input to its output; needs ``affine=False``.

    Raises:
        ConfigError: the widths contradict ``affine`` or ``residual``.
    """

    stateful = False
    needs = 'every frame attends to all frames of its clip, later ones too'

    def __init__(
        self,
        in_dim: int,
        hidden: Width = 256,
        layers: Depth = 4,
        heads: Width = 4,
        ffn: Width = 1024,
        dropout: Probability = 0.1,
        affine: bool = True,
        position: bool = True,
        residual: bool = False,
    ) -> None:
        super().__init__()
        if in_dim != hidden and not affine:
            raise ConfigError(
                f'TransformerContext without affine gets vectors of {in_dim} but has hidden={hidden}: '
                f'set hidden={in_dim} or affine=True'
            )
        if in_dim != hidden and residual:
            raise ConfigError(
                f'TransformerContext with residual gets vectors of {in_dim} but has hidden={hidden}: '
                f'set hidden={in_dim} or residual=False'
            )
        self.affine = nn.Linear(in_dim, hidden) if affine else nn.Identity()
        self.position = PositionTable(hidden) if position else nn.Identity()
        self.layers = nn.ModuleList(EncoderLayer(hidden, heads, ffn, dropout) for _ in range(layers))
        self.residual = residual
        self.out_dim = hidden

    @property
    def max_length(self) -> int | None:
        """Frames that a clip may have; None for any number."""
        return len(self.position.table) if isinstance(self.position, PositionTable) else None

    def forward(self, x: Tensor, valid: Tensor, lengths: Sequence[int] | None = None) -> Tensor:
        """Map ``x``, (batch, time, in_dim), to (batch, time, hidden).

        Args:
            x: the frames.
            valid: (batch, time) bool, False for padding.
            lengths: frames of each row that exist, see `attention_mask`.
        """
        mask = attention_mask(valid, lengths)
        y = self.position(self.affine(x))
        for layer in self.layers:
            y = layer(y, mask)
        return x + y if self.residual else y
