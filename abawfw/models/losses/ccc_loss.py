"""One minus the concordance correlation coefficient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from abawfw.components import Positive
from abawfw.errors import ConfigError
from abawfw.models.losses.va_loss import VALoss
from abawfw.registry import LOSSES

EPS = 1e-9  # docs/rucaim3.md, Training: keeps the quotient of two constant sequences at 0


@LOSSES.register_module()
class CCCLoss(VALoss):
    """1 - CCC per target, averaged over targets (docs/rucaim3.md, Training).

    CCC = 2 cov / (var + var + (mean difference)^2 + 1e-9), biased moments.

    Args:
        over: ``'batch'``: all valid frames of the batch as one sequence (the reference's ``batch_ccc``).
            ``'clip'``: each clip on its own, then averaged (its ``ccc``). As in the reference, frames that do
            not count enter a clip's moments as zeros on both sides, so a clip's loss depends on the length to
            which its batch was padded, and a clip without any valid frame adds a constant 1 to the average.
        targets: the targets this loss acts on; None: all of the head's.
        weight: factor of the returned value.
        biased: False: covariance and variances are unbiased, as in the behaviour model of team RAS
            (arXiv:2603.13056).

    Raises:
        ConfigError: `over` is neither ``'batch'`` nor ``'clip'``.
    """

    name = 'ccc'

    def __init__(
        self,
        over: str = 'batch',
        targets: Sequence[str] | None = None,
        weight: Positive = 1.0,
        biased: bool = True,
    ) -> None:
        super().__init__(targets, weight)
        if over not in ('batch', 'clip'):
            raise ConfigError(f"CCCLoss: over={over!r} is unknown; choose 'batch' or 'clip'")
        self.over, self.biased = over, biased
        self.counts_padding = over == 'clip'

    def compute(self, pred: Tensor, label: Tensor, known: Tensor) -> Tensor:
        """Return the mean over targets (and clips) of 1 - CCC."""
        if self.over == 'clip':
            axes: tuple[int, ...] = (1,)
            part = torch.full_like(pred, 1.0 / known.shape[1])
        else:
            axes = (0, 1)
            part = known.float() / known.sum(axes, keepdim=True).clamp(min=1)
        mean_pred = (part * pred).sum(axes, keepdim=True)
        mean_label = (part * label).sum(axes, keepdim=True)
        pred, label = pred - mean_pred, label - mean_label
        if not self.biased:  # n - 1 in place of n, which is 1 / the largest part
            part = part / (1.0 - part.amax(axes, keepdim=True)).clamp(min=0.5)
        covariance = (part * pred * label).sum(axes, keepdim=True)
        variances = (part * (pred.square() + label.square())).sum(axes, keepdim=True)
        return (1.0 - 2.0 * covariance / (variances + (mean_pred - mean_label).square() + EPS)).mean()
