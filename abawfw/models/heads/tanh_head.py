"""Head with batch normalisation whose predictions lie within -1 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

import torch.nn.functional as F
from annotated_types import MinLen
from torch import Tensor, nn

from abawfw.components import Width
from abawfw.models.heads.va_head import HeadOutput, VAHead
from abawfw.models.layers import MaskedBatchNorm
from abawfw.models.layers.cpu.linear import Linear
from abawfw.registry import HEADS

SLOPE = 0.01  # of the leaky ReLUs


class _Layer(nn.Module):
    """Linear, batch normalisation, leaky ReLU."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.linear = Linear(in_dim, out_dim)
        self.norm = MaskedBatchNorm(out_dim)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(self.linear(x), valid), SLOPE)


@HEADS.register_module()
class TanhHead(VAHead):
    """[Linear, batch normalisation, leaky ReLU]* then Linear to the targets, tanh (docs/tagf.md, Models).

    Batch statistics are those of the frames that exist and of which some modality was observed.
    ``hidden.0.linear``, ``hidden.0.norm`` and ``out`` hold the same parameters as ``regressor1``, ``bn1`` and
    ``regressor2`` of TAGF.

    Args:
        in_dim: width of the sequence that comes in.
        targets: names of what is predicted, in the order of the columns.
        layers: widths of the hidden layers; none in LFAN.
        losses: one dict per loss.

    Raises:
        ConfigError: a loss does not fit the head.
    """

    per_frame = True

    def __init__(
        self,
        in_dim: int,
        targets: Sequence[str],
        layers: Sequence[Width] = (256,),
        losses: Annotated[Sequence[dict[str, Any]], MinLen(1)] = ({'type': 'WindowCCCLoss'},),
    ) -> None:
        widths = [in_dim, *layers]
        hidden = nn.ModuleList(_Layer(width, out) for width, out in pairwise(widths))
        super().__init__(hidden, widths[-1], targets, losses)

    def forward(self, x: Tensor, valid: Tensor) -> HeadOutput:
        """Predict from a sequence ``(batch, time, in_dim)``, each frame on its own."""
        for layer in self.hidden.children():
            x = layer(x, valid)
        return HeadOutput(self.out(x).float().tanh())
