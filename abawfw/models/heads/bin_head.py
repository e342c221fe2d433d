"""Head that chooses among bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from annotated_types import MinLen
from torch import Tensor

from abawfw.components import Probability, Width
from abawfw.models.heads.bins import Bins, make_bins
from abawfw.models.heads.head_output import HeadOutput
from abawfw.models.heads.relu_layers import relu_layers
from abawfw.models.heads.va_head import VAHead
from abawfw.registry import HEADS


@HEADS.register_module()
class BinHead(VAHead):
    """[Linear, ReLU, Dropout]* then Linear to bins; predicts the expectation over their centres.

    Row ``class * targets + target`` of the output layer belongs to that class and target. The reference
    orders its 44 (22 classes) and 40 (20 centres) outputs for two targets the same way, so its weights fit
    unchanged. Its predictions for two targets with 22 classes differ from ours all the same, because it
    scrambles the centres (docs/rucaim3.md, What differs, and why); those with 20 centres agree.

    Args:
        in_dim: width of the sequence that comes in.
        targets: names of what is predicted, in the order of the columns.
        layers: widths of the hidden layers.
        dropout: probability of dropping a hidden unit.
        losses: one dict per loss.
        bins: ``'uniform'``, or ``'weighted'``: equal shares of the training labels of Aff-Wild2.
        ends: 22 classes, -1 and +1 among them; otherwise the 20 centres only, as in fclstm-xl.

    Raises:
        ConfigError: a loss does not fit the head, or there are no such bins.
    """

    classifies = True
    per_frame = True

    def __init__(
        self,
        in_dim: int,
        targets: Sequence[str],
        layers: Sequence[Width] = (256, 256),
        dropout: Probability = 0.3,
        losses: Annotated[Sequence[dict[str, Any]], MinLen(1)] = (
            {'type': 'CCCLoss'},
            {'type': 'BinnedCrossEntropyLoss'},
        ),
        bins: str = 'uniform',
        ends: bool = True,
    ) -> None:
        made = make_bins(bins, targets, ends)
        hidden = relu_layers(in_dim, layers, dropout)
        super().__init__(hidden, [in_dim, *layers][-1], targets, losses, classes=made.centres.shape[1])
        # The config decides about the bins, not the checkpoint.
        self.register_buffer('centres', made.centres, persistent=False)
        self.register_buffer('bounds', made.bounds, persistent=False)

    @property
    def bins(self) -> Bins:
        """Centres and bounds of the bins, per target."""
        return Bins(self.get_buffer('centres'), self.get_buffer('bounds'))

    def forward(self, x: Tensor, valid: Tensor) -> HeadOutput:
        """Predict from a sequence ``(batch, time, in_dim)``; logits are float32 too."""
        outputs = self.out(self.hidden(x)).float()
        logits = outputs.unflatten(-1, (-1, len(self.targets))).transpose(-1, -2)
        return HeadOutput((logits.softmax(-1) * self.bins.centres).sum(-1), logits)

    def classes_of(self, label: Tensor) -> Tensor:
        """Return the class of each label ``(batch, time, targets)``; -1 where there is none."""
        return self.bins.classes_of(label)
