"""The bins of valence and arousal that a `BinHead` chooses from (docs/rucaim3.md, The four models)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import torch
from annotated_types import MinLen
from torch import Tensor

from abawfw.components import Probability, Width
from abawfw.errors import ConfigError
from abawfw.models.heads.va_head import HeadOutput, VAHead, hidden_layers
from abawfw.registry import HEADS

UNIFORM = tuple(i / 10 for i in range(-9, 10))

# The 19 bounds between 20 bins that hold equal fractions of Aff-Wild2's training labels. Those of RUCAIM3's
# reference implementation.
WEIGHTED: dict[str, tuple[float, ...]] = {
    'valence': (
        -0.7128293797,
        -0.5431153540,
        -0.3880448235,
        -0.2539790265,
        -0.1438498362,
        -0.0413518528,
        0.0176364326,
        0.0467707592,
        0.0759050858,
        0.1051871351,
        0.1351754902,
        0.1651638452,
        0.1951522002,
        0.2391089974,
        0.2857592995,
        0.3512701509,
        0.4373442910,
        0.5537591703,
        0.7184919244,
    ),
    'arousal': (
        -0.1219240558,
        0.0128545247,
        0.0508836842,
        0.0889128437,
        0.1182691147,
        0.1440563241,
        0.1698435334,
        0.1956307427,
        0.2263121451,
        0.2579919618,
        0.2896717784,
        0.3281656817,
        0.3699557040,
        0.4163066898,
        0.4743241260,
        0.5409024845,
        0.6179166327,
        0.7133619831,
        0.8522078791,
    ),
}


class Bins(NamedTuple):
    """Bins of several targets.

    Attributes:
        centres: ``(targets, classes)`` float32, the value each class stands for.
        bounds: ``(targets, classes + 1)`` float32, from -1 to 1. Class k holds ``bounds[k] <= label <
            bounds[k + 1]``, the last class 1 as well.
    """

    centres: Tensor
    bounds: Tensor

    def classes_of(self, label: Tensor) -> Tensor:
        """Return the class of each label ``(..., targets)``, int64; -1 where the label is NaN."""
        classes = (label.unsqueeze(-1) >= self.bounds[:, 1:-1]).sum(-1)
        return classes.masked_fill(label.isnan(), -1)

    def probabilities_of(self, label: Tensor, sigma: float) -> Tensor:
        """Return the probability of each class if labels ``(..., targets)`` are off by a normal error.

        Args:
            label: labels, from -1 to 1.
            sigma: standard deviation of the error; what it leaves between -1 and 1 adds up to 1.

        Returns:
            ``(..., targets, classes)``; -1 where the label is NaN.
        """
        places = (self.bounds - label.clamp(-1, 1).unsqueeze(-1)) / (sigma * 2**0.5)
        below = torch.erf(places)
        inside = below.diff(dim=-1) / (below[..., -1:] - below[..., :1])
        return inside.masked_fill(label.isnan().unsqueeze(-1), -1)


def make_bins(kind: str, targets: Sequence[str], ends: bool) -> Bins:
    """Lay out the bins of each target over [-1, 1].

    Args:
        kind: ``'uniform'``: 20 bins of width 0.1. ``'weighted'``: 20 bins with equal fractions of the
            training labels of Aff-Wild2.
        targets: names of the targets.
        ends: add the classes -1 and +1 outside the 20 centres; each takes half of the way to the next centre.

    Raises:
        ConfigError: `kind` is unknown, or has no bins for one of the targets.
    """
    if kind not in ('uniform', 'weighted'):
        raise ConfigError(f"bins={kind!r} is unknown; choose 'uniform' or 'weighted'")
    centres, bounds = [], []
    for target in targets:
        if kind == 'weighted' and target not in WEIGHTED:
            raise ConfigError(f"bins='weighted' is for {list(WEIGHTED)}, not for {target!r}; use 'uniform'")
        between = UNIFORM if kind == 'uniform' else WEIGHTED[target]
        edges = torch.tensor([-1.0, *between, 1.0], dtype=torch.float64)
        middle = (edges[:-1] + edges[1:]) / 2
        if ends:
            inner = edges[1:-1]
            middle = torch.cat([edges[:1], middle, edges[-1:]])
            first, last = middle[:2].mean(0, keepdim=True), middle[-2:].mean(0, keepdim=True)
            edges = torch.cat([edges[:1], first, inner, last, edges[-1:]])
        centres.append(middle)
        bounds.append(edges)
    return Bins(torch.stack(centres).float(), torch.stack(bounds).float())


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
        bins: ``'uniform'``, or ``'weighted'``: equal fractions of the training labels of Aff-Wild2.
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
        hidden = hidden_layers(in_dim, layers, dropout)
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

    def probabilities_of(self, label: Tensor, sigma: float) -> Tensor:
        """Return the probabilities of the classes around each label; -1 where there is none."""
        return self.bins.probabilities_of(label, sigma)
