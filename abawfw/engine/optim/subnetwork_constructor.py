"""One parameter group per sub-network."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper

from abawfw.errors import ConfigError
from abawfw.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SubnetworkConstructor:
    """Build the optimiser with one parameter group for each of ``model.subnetworks()``.

    Gradients are clipped per group (RUCAIM3 clips each sub-network on its own, spec/rucaim3.md, Training).

    Args:
        optim_wrapper_cfg: config of the optimiser wrapper; its ``optimizer`` is the optimiser's config.
        paramwise_cfg: MMEngine passes it; the groups being the sub-networks, it must be None.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        if paramwise_cfg is not None:
            raise ConfigError(
                'SubnetworkConstructor makes its own groups: leave optim_wrapper.paramwise_cfg away'
            )
        self.cfg = dict(optim_wrapper_cfg)

    def __call__(self, model: torch.nn.Module) -> OptimWrapper:
        """Build the wrapper for a model that tells its sub-networks."""
        bare: Any = model.module if is_model_wrapper(model) else model
        groups = [
            {'name': name, 'params': [p for p in module.parameters() if p.requires_grad]}
            for name, module in bare.subnetworks().items()
        ]
        optimizer = OPTIMIZERS.build(
            self.cfg.pop('optimizer'), default_args={'params': [g for g in groups if g['params']]}
        )
        self.cfg.setdefault('type', 'VAOptimWrapper')
        return OPTIM_WRAPPERS.build(self.cfg, default_args={'optimizer': optimizer})
