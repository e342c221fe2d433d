"""Losses that are no `VALoss`: any module or function of predictions, labels and a mask."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from abawfw.components import arguments, build, component_of
from abawfw.models.losses.va_loss import VALoss
from abawfw.registry import LOSSES


class PlainLoss(VALoss):
    """A module or function ``f(pred, label, known)`` as a loss of a head.

    It gets predictions and labels (batch, time, targets), float32, both zero where there is no label or no
    frame, and where there are both, (batch, time, targets) bool. It returns a scalar.

    Args:
        function: the module or function.
        name: part of the key under which the value is logged.
        targets: as in `VALoss`.
        weight: as in `VALoss`.
    """

    def __init__(
        self,
        function: Callable[[Tensor, Tensor, Tensor], Tensor],
        name: str,
        targets: Sequence[str] | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__(targets, weight)
        self.function = function  # a module is registered as one, with its parameters
        self.name = name  # type: ignore[misc]
        self.on_classes = bool(getattr(function, 'on_classes', False))  # type: ignore[misc]

    def compute(self, pred: Tensor, label: Tensor, known: Tensor) -> Tensor:
        """Return what the function does."""
        return self.function(pred, label, known)


def build_loss(cfg: Mapping[str, Any], place: str) -> VALoss:
    """Build a loss of a head.

    Args:
        cfg: its config. One that is no `VALoss` may have ``targets`` and ``weight`` all the same.
        place: of the config, for errors.

    Raises:
        ConfigError: it cannot be built.
    """
    component = component_of(LOSSES, cfg, place)
    if inspect.isclass(component) and issubclass(component, VALoss):
        return build(LOSSES, cfg, place)
    known = arguments(component)
    common = {k: cfg[k] for k in ('targets', 'weight') if k in cfg and k not in known}
    own = {k: v for k, v in cfg.items() if k not in common}
    if inspect.isclass(component):
        function = build(LOSSES, own, place)
        name = component.__name__.removesuffix('Loss')
    else:
        function = functools.partial(
            component, **{k: v for k, v in own.items() if k not in ('type', '_scope_')}
        )
        name = component.__name__.removesuffix('_loss')
    return PlainLoss(function, re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', name).lower(), **common)
