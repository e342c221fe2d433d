"""Learning what a teacher predicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from abawfw.components import Positive
from abawfw.errors import ConfigError
from abawfw.models.losses.ccc_loss import CCCLoss
from abawfw.models.losses.mse_loss import MSELoss
from abawfw.models.losses.va_loss import VALoss
from abawfw.registry import LOSSES


@LOSSES.register_module()
class DistillationLoss(VALoss):
    """Distance to the stored predictions of a run or an ensemble (Hinton et al. 2015, arXiv:1503.02531).

    What an ensemble knows goes into one model, such as a causal one. The predictions come with the clips:
    `LoadPredictions` stands in the pipeline of training. Frames count that have been seen, with a label or
    without. In validation there is no teacher, and the loss is 0.

    Args:
        measure: ``'ccc'``: 1 - CCC, all frames of the batch as one sequence; ``'mse'``: the mean squared
            error. Either for each target, averaged over targets.
        targets: the targets this loss acts on; None: all of the head's.
        weight: factor of the returned value.

    Raises:
        ConfigError: another measure.
    """

    name = 'distillation'
    of_teacher = True

    def __init__(
        self,
        measure: Literal['ccc', 'mse'] = 'ccc',
        targets: Sequence[str] | None = None,
        weight: Positive = 1.0,
    ) -> None:
        super().__init__(targets, weight)
        if measure not in ('ccc', 'mse'):
            raise ConfigError(f"DistillationLoss: measure={measure!r} is unknown; choose 'ccc' or 'mse'")
        self.distance = CCCLoss() if measure == 'ccc' else MSELoss(over='mean')

    def compute(self, pred: Tensor, label: Tensor, known: Tensor) -> Tensor:
        """Return the distance; ``label`` is what the teacher predicts."""
        return self.distance.compute(pred, label, known)
