"""One minus the concordance correlation coefficient of each window."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from abawfw.components import Positive
from abawfw.models.losses.va_loss import VALoss
from abawfw.registry import LOSSES

# A window's spread counts as none below this fraction of its squared means, the rounding of float32, or of
# 1e-8 where the means are smaller: gradients of less would overflow.
FLAT = 1e-12
SMALLEST = 1e-8
EPS = 1e-8  # of the biased form


@LOSSES.register_module()
class WindowCCCLoss(VALoss):
    """1 - 2 cov / (var + var + (mean difference)^2) of each window, averaged (docs/tagf.md, Training).

    The covariance is biased and the variances are not, as in the reference: perfect predictions of n frames
    leave 1 / n. Unlike there, frames that do not count change nothing, windows with fewer than two known
    frames are omitted of the average, and so are targets without any window; a window of which labels and
    predictions are the same constant, whose quotient is 0 / 0, gives 1 and no gradient.

    Args:
        biased: take biased variances too, and add 1e-8 to the divisor, as team RAS does (arXiv:2603.13056):
            perfect predictions leave nothing.
        targets: the targets this loss acts on; None: all of the head's.
        weight: factor of the returned value.
    """

    name = 'window_ccc'

    def __init__(
        self, biased: bool = False, targets: Sequence[str] | None = None, weight: Positive = 1.0
    ) -> None:
        super().__init__(targets, weight)
        self.biased = biased

    def compute(self, pred: Tensor, label: Tensor, known: Tensor) -> Tensor:
        """Return the mean over targets of the mean over windows."""
        count = known.sum(1)  # (batch, targets), as all that follows
        n = count.clamp(min=2)
        mean_pred, mean_label = pred.sum(1) / n, label.sum(1) / n
        d_pred = (pred - mean_pred.unsqueeze(1)).masked_fill(~known, 0.0)
        d_label = (label - mean_label.unsqueeze(1)).masked_fill(~known, 0.0)
        covariance = (d_pred * d_label).sum(1) / n
        variances = (d_pred.square() + d_label.square()).sum(1) / (n if self.biased else n - 1)
        spread = variances + (mean_pred - mean_label).square() + (EPS if self.biased else 0.0)
        size = (mean_pred.square() + mean_label.square()).clamp(min=SMALLEST)
        flat = spread <= FLAT * size
        ccc = 2.0 * covariance.masked_fill(flat, 0.0) / spread.masked_fill(flat, 1.0)
        counts = count >= 2
        windows = counts.sum(0)
        per_target = (1.0 - ccc).masked_fill(~counts, 0.0).sum(0) / windows.clamp(min=1)
        return per_target.sum() / (windows > 0).sum().clamp(min=1)
