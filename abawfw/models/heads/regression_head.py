"""Head that predicts the targets directly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from annotated_types import MinLen
from torch import Tensor

from abawfw.components import Probability, Width
from abawfw.models.heads.va_head import HeadOutput, VAHead, relu_layers
from abawfw.registry import HEADS


@HEADS.register_module()
class RegressionHead(VAHead):
    """[Linear, ReLU, Dropout]* then Linear to the targets (docs/rucaim3.md, The four models); unbounded.

    ``hidden.{3 i}`` and ``out`` hold the same parameters as ``module.{3 i}`` and ``fc_out`` of the reference.

    Args:
        in_dim: width of the sequence that comes in.
        targets: names of what is predicted, in the order of the columns.
        layers: widths of the hidden layers.
        dropout: probability of dropping a hidden unit.
        losses: one dict per loss; the reference's default is CCC over the batch.

    Raises:
        ConfigError: a loss does not fit the head.
    """

    per_frame = True

    def __init__(
        self,
        in_dim: int,
        targets: Sequence[str],
        layers: Sequence[Width] = (256, 256),
        dropout: Probability = 0.3,
        losses: Annotated[Sequence[dict[str, Any]], MinLen(1)] = ({'type': 'CCCLoss'},),
    ) -> None:
        super().__init__(relu_layers(in_dim, layers, dropout), [in_dim, *layers][-1], targets, losses)

    def forward(self, x: Tensor, valid: Tensor) -> HeadOutput:
        """Predict from a sequence ``(batch, time, in_dim)``."""
        return HeadOutput(self.out(self.hidden(x)).float())
