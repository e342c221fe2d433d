"""One parameter group per sub-network, and per part, or pattern of names, with its own options."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper

from abawfw.errors import ConfigError, nearest
from abawfw.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SubnetworkConstructor:
    """Build the optimiser with one parameter group for each of ``model.subnetworks()``.

    Gradients are clipped per sub-network, as RUCAIM3 does (docs/rucaim3.md, Training), whose name is in each
    of its groups as ``network``. Frozen parameters are in their group from the start: without a gradient the
    optimiser passes them by, and releasing them later changes no group.

    Args:
        optim_wrapper_cfg: config of the optimiser wrapper; its ``optimizer`` is the optimiser's config.
        paramwise_cfg: ``{part: options}``: options of the optimiser, such as ``lr`` and ``weight_decay``, for
            the parameters of a part, named as in ``model.frozen`` (``backbones``, ``backbones.video``,
            ``backbones.video.output_layer``), or for those whose names match a pattern (``*.bias``). Where
            parts lie within one another the innermost counts; where a part and patterns fit, all act,
            of one option the last pattern. What
            has its own options within a sub-network is a separate group, and is clipped with the sub-network.

    Raises:
        ConfigError: no parameter belongs to a part, or the optimiser does not have an option.
    """

    def __init__(
        self, optim_wrapper_cfg: dict, paramwise_cfg: dict[str, dict[str, Any]] | None = None
    ) -> None:
        self.cfg = dict(optim_wrapper_cfg)
        self.options = dict(paramwise_cfg or {})
        self.patterns = [name for name in self.options if '*' in name]

    def __call__(self, model: torch.nn.Module) -> OptimWrapper:
        """Build the wrapper for a model that lists its sub-networks."""
        bare: Any = model.module if is_model_wrapper(model) else model
        self._check_parts(bare)
        groups: dict[tuple[str, ...], dict[str, Any]] = {}
        for network, module in bare.subnetworks().items():
            for name, parameter in module.named_parameters(prefix=network):
                part = max((p for p in self.options if f'{name}.'.startswith(f'{p}.')), key=len, default='')
                fitting = [p for p in self.patterns if fnmatchcase(name, p)]
                title = ' '.join([part if part.startswith(f'{network}.') else network, *fitting])
                options: dict[str, Any] = {}
                for given in (part, *fitting):
                    options |= self.options.get(given, {})
                empty = {'name': title, 'network': network, 'params': [], **options}
                groups.setdefault((network, part, *fitting), empty)['params'].append(parameter)
        optimizer = OPTIMIZERS.build(
            self.cfg.pop('optimizer'), default_args={'params': list(groups.values())}
        )
        self._check_options(optimizer)
        self.cfg.setdefault('type', 'VAOptimWrapper')
        return OPTIM_WRAPPERS.build(self.cfg, default_args={'optimizer': optimizer})

    def _check_parts(self, model: torch.nn.Module) -> None:
        parameters = [name for name, _ in model.named_parameters()]
        known = {'.'.join(name.split('.')[:i]) for name in parameters for i in range(1, name.count('.') + 1)}
        for part in self.options:
            if part in self.patterns:
                if not any(fnmatchcase(name, part) for name in parameters):
                    raise ConfigError(
                        f'optim_wrapper.paramwise_cfg: no parameter is called {part!r}; they are called such '
                        f'as {parameters[0]}'
                    )
            elif part not in known:
                raise ConfigError(
                    f'optim_wrapper.paramwise_cfg: the model has no part {part!r} with parameters; '
                    f'{nearest(part, known)}'
                )

    def _check_options(self, optimizer: torch.optim.Optimizer) -> None:
        for part, options in self.options.items():
            for name in options:
                if name not in optimizer.defaults:
                    raise ConfigError(
                        f'optim_wrapper.paramwise_cfg[{part!r}]: {type(optimizer).__name__} has no option '
                        f'{name!r}; {nearest(name, optimizer.defaults)}'
                    )
