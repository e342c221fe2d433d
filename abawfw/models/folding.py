"""Models that are only run from now on."""

from __future__ import annotations

from torch import nn
from torch.nn.utils import parametrize


def fold_weight_norm(model: nn.Module) -> None:
    """Compute the weights of weight-normed layers once, instead of in every call.

    The model then runs as before, but has other names of parameters: it is no longer to be trained or saved.
    """
    for module in list(model.modules()):
        if parametrize.is_parametrized(module, 'weight'):
            parametrize.remove_parametrizations(module, 'weight', leave_parametrized=True)
