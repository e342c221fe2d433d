"""What a head returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class HeadOutput(NamedTuple):
    """Predictions of a batch of clips.

    Attributes:
        va: ``(batch, time, targets)`` float32, in the order of the head's targets.
        logits: ``(batch, time, targets, classes)`` where the head classifies, otherwise None.
    """

    va: Tensor
    logits: Tensor | None = None
