"""Precision and gradient clipping of a training step."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper

from abawfw.components import Positive
from abawfw.errors import ConfigError
from abawfw.registry import OPTIM_WRAPPERS

PRECISIONS = {'fp32': None, 'bf16': torch.bfloat16, 'fp16': torch.float16}


def check_precision(precision: str) -> None:
    """Refuse a precision that the device of this process does not have.

    Raises:
        ConfigError: it is unknown, fp16 on a CPU, or bf16 on a GPU that is too old.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f'precision {precision!r} is unknown; choose from {", ".join(PRECISIONS)}')
    device = get_device()
    if precision == 'fp16' and device == 'cpu':
        raise ConfigError(
            'fp16 needs a GPU, and the CPU computes here: use --amp bf16, or optim_wrapper.precision=fp32'
        )
    if precision == 'bf16' and device == 'cuda' and not torch.cuda.is_bf16_supported(False):
        name, version = torch.cuda.get_device_name(), '.'.join(map(str, torch.cuda.get_device_capability()))
        raise ConfigError(
            f'bf16 needs a GPU of compute capability 8.0 (Ampere) or above, and {name} has {version}: '
            f'use --amp fp16, or optim_wrapper.precision=fp32'
        )


def autocast(precision: str) -> AbstractContextManager[Any]:
    """What forward passes in this precision run in, on the device of this process."""
    dtype = PRECISIONS[precision]
    return nullcontext() if dtype is None else torch.autocast(get_device(), dtype)


@OPTIM_WRAPPERS.register_module()
class VAOptimWrapper(OptimWrapper):
    """Optimiser wrapper for one loss and any device.

    MMEngine's own wrapper for mixed precision (0.10.7, `AmpOptimWrapper`) refuses CPUs; this one autocasts
    on the device the model is on. bf16 needs no loss scaling; fp16 does and is for GPUs only.

    Args:
        optimizer: the optimiser. Its parameter groups with the same ``network`` are clipped together, as are
            those without one.
        precision: 'fp32', 'bf16' or 'fp16'.
        max_norm: largest gradient norm of a sub-network, None for no clipping.

    Attributes:
        precision: as given.
        gradient_norms: of the last step, before clipping, one scalar per sub-network.

    Raises:
        ConfigError: see :func:`check_precision`.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, precision: str = 'fp32', max_norm: Positive | None = None
    ) -> None:
        super().__init__(optimizer)
        check_precision(precision)
        self.precision, self.max_norm = precision, max_norm
        self.gradient_norms: list[torch.Tensor] = []
        # found now: the groups of a checkpoint, which may be older than these names, replace the optimiser's
        self._networks: dict[str | None, list[torch.Tensor]] = {}
        for group in optimizer.param_groups:
            self._networks.setdefault(group.get('network'), []).extend(group['params'])
        self.scaler = torch.amp.GradScaler(get_device()) if precision == 'fp16' else None

    def optim_context(self, model: torch.nn.Module) -> AbstractContextManager[Any]:
        """Autocast the forward pass if the precision asks for it."""
        return autocast(self.precision)

    def update_params(self, loss: torch.Tensor) -> None:
        """An update with the gradients of one loss; MMEngine's may add up those of several."""
        self.backward(loss)
        self.step()
        self.zero_grad()

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of the (scaled) loss."""
        super().backward(self.scaler.scale(loss) if self.scaler else loss)

    def step(self) -> None:
        """Clip each sub-network, then update."""
        if self.scaler:
            self.scaler.unscale_(self.optimizer)
        networks = self._networks.values()
        if self.max_norm is not None:
            self.gradient_norms = [torch.nn.utils.clip_grad_norm_(n, self.max_norm) for n in networks]
        else:
            gradients = [[p.grad for p in network if p.grad is not None] for network in networks]
            self.gradient_norms = [torch.nn.utils.get_total_norm(network) for network in gradients]
        if self.scaler:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()

    def forget(self) -> None:
        """Drop what the optimiser has gathered about its parameters, as if it were new."""
        self.optimizer.state.clear()

    def state_dict(self) -> dict:
        """State of the optimiser and of the loss scale."""
        state = super().state_dict()
        if self.scaler:
            state['loss_scaler'] = self.scaler.state_dict()
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        """Restore what :meth:`state_dict` gave."""
        state = dict(state_dict)
        scale = state.pop('loss_scaler', None)
        if self.scaler and scale is not None:
            self.scaler.load_state_dict(scale)
        super().load_state_dict(state)
