"""What all losses of a head have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from abawfw.components import Positive


class VALoss(nn.Module, ABC):
    """A masked loss, computed in float32 whatever the precision around it.

    Args:
        targets: the targets this loss acts on, a subset of the head's; None: all of them. The head hands over
            just their columns.
        weight: factor of the returned value.
    """

    name: ClassVar[str]
    """Part of the key under which the value is logged: ``loss_{name}``."""
    on_classes: ClassVar[bool] = False
    """Whether the loss takes logits and classes in place of predictions and labels."""
    of_teacher: ClassVar[bool] = False
    """Whether the loss takes a teacher's predictions in place of labels."""
    sigma: float = 0.0
    """Of a loss on classes: the standard deviation around the label of what it takes in place of a class."""

    def __init__(self, targets: Sequence[str] | None = None, weight: Positive = 1.0) -> None:
        super().__init__()
        self.targets = None if targets is None else tuple(targets)
        self.weight = weight

    def forward(self, pred: Tensor, label: Tensor, mask: Tensor) -> Tensor:
        """Return the weighted loss, a float32 scalar with a graph.

        A batch in which nothing is both valid and labelled gives zero, with zero gradients: there is nothing
        to learn from it, but every process of a distributed run still takes part in the backward pass.

        Args:
            pred: predictions ``(batch, time, targets)``, or logits ``(batch, time, targets, classes)``.
            label: ``(batch, time, targets)``; NaN, or class -1, where there is no label. With ``sigma`` a
                probability of each class, ``(batch, time, targets, classes)``, all -1 where there is none.
            mask: ``(batch, time)`` bool, True on valid frames.
        """
        with torch.autocast(pred.device.type, enabled=False):
            known = label >= 0 if self.on_classes else ~label.isnan()
            known = (known[..., 0] if self.sigma else known) & mask.unsqueeze(-1)
            # Not a product with the mask: NaN * 0 is NaN, in the value and in the gradient.
            pred = pred.float().masked_fill(~(known.unsqueeze(-1) if self.on_classes else known), 0.0)
            label = label.masked_fill(~(known.unsqueeze(-1) if self.sigma else known), 0)
            value = self.compute(pred, label if self.on_classes else label.float(), known)
            return torch.where(known.any(), self.weight * value, pred.sum() * 0.0)

    @abstractmethod
    def compute(self, pred: Tensor, label: Tensor, known: Tensor) -> Tensor:
        """Return the unweighted loss.

        Args:
            pred: predictions or logits, zero where `known` is False.
            label: labels, classes or their probabilities, zero where `known` is False.
            known: ``(batch, time, targets)`` bool, frames that are valid and have a label.
        """
