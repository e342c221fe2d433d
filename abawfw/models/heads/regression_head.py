"""Head that predicts the targets directly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from annotated_types import MinLen
from torch import Tensor

from abawfw.components import Probability, Width
from abawfw.models.heads.va_head import HeadOutput, VAHead, hidden_layers
from abawfw.registry import HEADS


@HEADS.register_module()
class RegressionHead(VAHead):
    """[Linear, ReLU, Dropout]* then Linear to the targets (docs/rucaim3.md, The four models); unbounded.

    ``hidden.{3 i}`` and ``out`` hold the same parameters as ``module.{3 i}`` and ``fc_out`` of the reference.
    Team RAS (arXiv:2603.13056) has GELU, with a layer normalisation behind each Linear of its fusion model
    and one in front of all in its RAAV model.

    Args:
        in_dim: width of the sequence that comes in.
        targets: names of what is predicted, in the order of the columns.
        layers: widths of the hidden layers.
        dropout: probability of dropping a hidden unit.
        losses: one dict per loss; the reference's default is CCC over the batch.
        activation: ``relu`` or ``gelu``, of the hidden layers.
        norm: ``none``; ``first``: a layer normalisation in front of all; ``each``: one behind every Linear.

    Raises:
        ConfigError: a loss does not fit the head, or an unknown activation or place.
    """

    per_frame = True

    def __init__(
        self,
        in_dim: int,
        targets: Sequence[str],
        layers: Sequence[Width] = (256, 256),
        dropout: Probability = 0.3,
        losses: Annotated[Sequence[dict[str, Any]], MinLen(1)] = ({'type': 'CCCLoss'},),
        activation: Literal['relu', 'gelu'] = 'relu',
        norm: Literal['none', 'first', 'each'] = 'none',
    ) -> None:
        super().__init__(
            hidden_layers(in_dim, layers, dropout, activation, norm), [in_dim, *layers][-1], targets, losses
        )

    def forward(self, x: Tensor, valid: Tensor) -> HeadOutput:
        """Predict from a sequence ``(batch, time, in_dim)``."""
        return HeadOutput(self.out(self.hidden(x)).float())
