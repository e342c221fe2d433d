"""RUCAIM3's learning rate."""

from __future__ import annotations

from typing import Any

from mmengine.optim import LinearLR

from abawfw.components import Count, WholeNumber
from abawfw.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class ConstantThenLinearLR(LinearLR):
    """Constant for the first epochs, then linearly towards zero, which the epoch after the last would have.

    In epoch e = 1, 2, ... it is ``lr * (1 - max(0, e - constant_epochs) / (end - constant_epochs + 1))``
    (docs/rucaim3.md, Training). A training that ends within the constant epochs has the full rate throughout.

    Args:
        optimizer: optimiser or wrapper whose rate is scheduled.
        constant_epochs: epochs at the full rate.
        end: epochs of the whole training.
    """

    def __init__(self, optimizer: Any, constant_epochs: WholeNumber, end: Count) -> None:
        self.constant_epochs, self.decay_epochs = constant_epochs, max(0, end - constant_epochs)
        super().__init__(optimizer, start_factor=1.0, end_factor=0.0, end=end + 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a position, and set the rate that this schedule has there.

        A resumed run may have been given more epochs: the saved rate would be that of its old end.
        """
        super().load_state_dict(state_dict)
        for group, rate in zip(self.optimizer.param_groups, self._get_value(), strict=True):
            group['lr'] = rate

    def _get_value(self) -> list[float]:
        past = max(0, self.last_step + 1 - self.constant_epochs)
        factor = 1 - past / (self.decay_epochs + 1)
        return [base * factor for base in self.base_values]
