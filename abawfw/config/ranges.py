"""Ranges of arguments whose constructors, torch's and MMEngine's, state none.

Without them a value that reverses training, or ends it, would be trained with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MinLen

from abawfw.components import Count, NonNegative, Positive, Probability, WholeNumber

UpToOne = Annotated[float, Ge(0), Le(1)]

# By the name of the registry.
RANGES: dict[str, dict[str, Any]] = {
    'optimizer': {
        'lr': Positive,
        'weight_decay': NonNegative,
        'betas': tuple[Probability, Probability],
        'eps': NonNegative | tuple[NonNegative | None, NonNegative],
        **dict.fromkeys(('momentum', 'dampening'), Probability),
        **dict.fromkeys(('alpha', 'rho'), UpToOne),
        **dict.fromkeys(('lr_decay', 'momentum_decay', 'lambd', 'initial_accumulator_value'), NonNegative),
        **dict.fromkeys(('maximize', 'differentiable'), Literal[False]),
    },
    'parameter scheduler': {
        'begin': WholeNumber,
        'end': Count,
        'by_epoch': bool,
        'gamma': Positive,
        'step_size': Count,
        'T_max': Count,
        'milestones': Sequence[WholeNumber],
        'power': Positive,
        'factor': Annotated[float, Gt(0), Le(1)],
        'eta_min': NonNegative | None,
        'min_value': NonNegative | Sequence[NonNegative],
        **dict.fromkeys(('eta_max', 'div_factor', 'final_div_factor'), Positive),
        'eta_min_ratio': UpToOne | None,
        'start_factor': Annotated[float, Gt(0), Le(1)],  # the rate of a step is a multiple of the one before
        **dict.fromkeys(('end_factor', 'pct_start'), UpToOne),
        'restart_weights': Sequence[NonNegative],
        'periods': Sequence[Count],
        **dict.fromkeys(('patience', 'cooldown'), WholeNumber),
    },
    'weight initializer': {
        'std': NonNegative,
        'layer': Annotated[str, MinLen(1)] | Annotated[Sequence[str], MinLen(1)] | None,
    },
}

# What MMEngine's own constructor of the optimiser takes in paramwise_cfg; options of parts beside factors go
# into the group of parameters, and are held against their ranges there.
FACTORS: dict[str, Any] = {
    'custom_keys': dict[str, dict[str, Any]],
    **dict.fromkeys(('bias_lr_mult', 'dcn_offset_lr_mult'), NonNegative),
    **dict.fromkeys((f'{part}_decay_mult' for part in ('bias', 'norm', 'dwconv', 'flat')), NonNegative),
    'bypass_duplicate': bool,
}
