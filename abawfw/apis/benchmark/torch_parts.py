"""The same model made of torch's own parts, to see what ours gain."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from abawfw.models import VAEstimator
from abawfw.models.layers import Dropout, EncoderLayer


class TorchEncoderLayer(nn.Module):
    """``torch.nn.TransformerEncoderLayer`` of the size of one of ours, called as ours is."""

    def __init__(self, ours: EncoderLayer) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(
            ours.linear1.in_features,
            ours.self_attn.heads,
            ours.linear1.out_features,
            ours.dropout.p,
            batch_first=True,
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """As ``EncoderLayer.forward``."""
        return self.layer(x, src_key_padding_mask=None if mask is None else ~mask)


def with_torch_parts(model: VAEstimator) -> VAEstimator:
    """A copy of an estimator whose dropout and encoder layers are torch's own."""
    copied = copy.deepcopy(model)
    for module in list(copied.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, EncoderLayer):
                setattr(module, name, TorchEncoderLayer(child))
            elif isinstance(child, Dropout):
                setattr(module, name, nn.Dropout(child.p))
    return copied
