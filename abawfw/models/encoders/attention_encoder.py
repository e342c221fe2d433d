"""Self-attention over the frames of one modality."""

from __future__ import annotations

from torch import Tensor, nn

from abawfw.components import Depth, Probability, Width
from abawfw.models.layers.positioned_attention import PositionedLayer, projection
from abawfw.registry import ENCODERS


@ENCODERS.register_module()
class AttentionEncoder(nn.Module):
    """Self-attention over a clip, positions added in every layer: the visual model of team RAS.

    Linear, layer normalisation and dropout, then layers, each of which adds what it gives to its input
    (arXiv:2603.13056). Clips may have any number of frames.

    A frame that was not observed enters as zeros, whatever it holds, and is never attended to. It has an
    output all the same, which depends on its place and on the observed frames. Padding influences no frame.

    Args:
        in_dim: vector length of a frame.
        dim: width of the layers.
        layers: how many there are.
        heads: attention heads of a layer.
        dropout: fraction of activations dropped in training.

    Raises:
        ConfigError: ``heads`` does not divide ``dim``.
    """

    needs = 'every frame attends to all frames of its clip, later ones too'

    def __init__(
        self,
        in_dim: int,
        dim: Width = 256,
        layers: Depth = 5,
        heads: Width = 8,
        dropout: Probability = 0.1,
    ) -> None:
        super().__init__()
        self.projection = projection(in_dim, dim, dropout)
        self.layers = nn.ModuleList(PositionedLayer(dim, heads, dropout) for _ in range(layers))
        self.out_dim = dim

    def forward(self, x: Tensor, observed: Tensor) -> Tensor:
        """Map a sequence to one of the same length.

        Args:
            x: (batch, time, in_dim).
            observed: (batch, time) bool.

        Returns:
            (batch, time, out_dim).
        """
        return self.attend(self.projection(x.masked_fill(~observed[..., None], 0)), observed)

    def attend(self, x: Tensor, observed: Tensor) -> Tensor:
        """The layers over projected frames, (batch, time, dim)."""
        for layer in self.layers:
            x = x + layer(x, x, x, observed)
        return x
