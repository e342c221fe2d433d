"""What an optimiser and its schedules would do to the weights, found out before a run."""

from __future__ import annotations

import abawfw.quick_mmengine  # noqa: F401, before MMEngine

# isort: split
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from mmengine.optim import _ParamScheduler, build_optim_wrapper
from torch import nn

from abawfw.components import NonNegative, wrong_value
from abawfw.config.ranges import RANGES
from abawfw.engine.optim import VAOptimWrapper
from abawfw.errors import ConfigError

# Torch's optimisers that no training here can call.
UNFIT = {
    'LBFGS': 'computes a batch several times in each step, and training computes it once',
    'SparseAdam': 'takes sparse gradients only, and no part of a model gives these',
}
MOST_EPOCHS = 1000  # that schedules are followed
ROUNDING = 1e-12  # below 0: a rate that falls to 0 in factors ends there but for rounding


def built_wrapper(model: nn.Module, given: dict[str, Any]) -> VAOptimWrapper:
    """The wrapper and the optimiser of a model's parameters, each shrunk to one number.

    Args:
        model: without memory; its parameters are replaced.
        given: ``optim_wrapper`` of the config.

    Raises:
        ConfigError: they cannot be used, nothing would learn, or a group of parameters has a value that
            reverses its training or ends it.
    """
    kind = str(given.get('optimizer', {}).get('type')).rpartition('.')[2]
    if kind in UNFIT:
        raise ConfigError(f'optim_wrapper.optimizer: {kind} {UNFIT[kind]}: take another, such as Adam')
    for module in model.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                small = torch.zeros((1,) * parameter.dim())
                module._parameters[name] = nn.Parameter(small, parameter.requires_grad)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError('model.frozen: names all parts that have parameters: nothing would learn')
    with _optimizers_without_compiler():
        wrapper = build_optim_wrapper(model, given)
    if not isinstance(wrapper, VAOptimWrapper):
        raise ConfigError(
            f'{type(wrapper).__name__} lacks what training uses: take VAOptimWrapper, or derive yours from it'
        )
    _check_groups(model, wrapper.optimizer)
    return wrapper


def _check_groups(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Hold what each group of parameters is trained with against its range, however it came about."""
    groups = optimizer.param_groups
    ranges = RANGES['optimizer'] if type(optimizer).__module__.startswith('torch.') else {}
    names = {parameter: name for name, parameter in model.named_parameters()}
    wrong: dict[str, str] = {}
    for group in groups:
        for key, kind in {**ranges, 'lr': NonNegative}.items():  # what has a rate of 0 stays as it is
            found = wrong_value(kind, group[key]) if key in group else None
            if found is not None:
                line = f'with {key}={group[key]!r}: must be {found[1]}'
                wrong.setdefault(line, names.get(group['params'][0], 'a part'))
    if wrong:
        lines = '; '.join(f'{name} would be trained {line}' for line, name in wrong.items())
        raise ConfigError(f'optim_wrapper: {lines}')
    learning = [group for group in groups if any(p.requires_grad for p in group['params'])]
    if not any(group.get('lr', 1) > 0 for group in learning):
        raise ConfigError('optim_wrapper: every part that is not frozen has lr=0: nothing would learn')


def check_rates(optimizer: torch.optim.Optimizer, schedules: Sequence[Any], epochs: int) -> None:
    """Follow the schedules of MMEngine's kind through the epochs of a training.

    Those of batches are held against their ranges only: how many batches there are is not known here.

    Raises:
        ConfigError: a rate falls below 0, or is no number.
    """
    followed = [s for s in schedules if isinstance(s, _ParamScheduler) and s.by_epoch]
    for epoch in range(1, min(epochs, MOST_EPOCHS) + 1 if followed else 1):
        for group in optimizer.param_groups:
            if not float(group['lr']) >= -ROUNDING:
                raise ConfigError(
                    f'the rate in epoch {epoch} is {float(group["lr"]):g}: it must stay at 0 or more'
                )
        for schedule in followed:
            schedule.step()


@contextmanager
def _optimizers_without_compiler() -> Iterator[None]:
    """Torch's optimisers without what they share, which imports torch's compiler: longer than all the rest.

    Each one's own constructor, which looks at its values, runs as it is.
    """
    shared = torch.optim.Optimizer.__init__

    def light(self: Any, params: Any, defaults: dict[str, Any]) -> None:
        if not type(self).__module__.startswith('torch.optim.'):
            shared(self, params, defaults)
            return
        self.defaults, self.state = defaults, defaultdict(dict)
        groups = list(params)
        groups = groups if isinstance(groups[0], dict) else [{'params': groups}]
        self.param_groups = [{**defaults, **group, 'params': list(group['params'])} for group in groups]

    with mock.patch.object(torch.optim.Optimizer, '__init__', light):
        yield
