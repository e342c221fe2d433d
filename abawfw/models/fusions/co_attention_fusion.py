"""Fusion by dense co-attention between modalities."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from abawfw.components import Count, Depth, Probability
from abawfw.errors import ConfigError, nearest
from abawfw.models.layers.co_attention import JOINTS, CoAttentionStep
from abawfw.models.layers.gates import GATES
from abawfw.models.layers.time_mix import TIME_MIXES
from abawfw.registry import FUSIONS

STATES = ('last', 'all')


@FUSIONS.register_module()
class CoAttentionFusion(nn.Module):
    """Co-attention of two or more modalities, step by step, and a choice among the steps.

    The systems of the family (docs/tagf.md, Models) are these arguments:

    - TAGF: ``states='all', gate='lstm', normalize=True``;
    - CAN with co-attention: as the arguments are;
    - RJCMA: ``joint='raw'``;

    each with ``time_mix='linear', length=300``. The other ways of mixing work with windows of any length and
    leave out what is padding or was not observed.

    Args:
        in_dims: vector length of each modality; its order is the order of joining.
        joint: ``projected`` or ``raw``: what keys are held against, the joined modalities or a linear map of
            them.
        time_mix: ``linear`` (windows of ``length`` frames only), ``identity``, ``conv`` (depthwise) or
            ``attention``: how keys mix frames.
        length: frames of every window, for ``linear``.
        steps: how often the modalities attend, each time with own weights.
        states: ``last``: what the last step gives; ``all``: the input and what each step gives.
        gate: with all states, how they are weighed: ``mean``, ``lstm`` (TAGF's, bounded) or ``mlp``
            (unbounded); None joins them.
        normalize: bring every frame of the input to unit length.
        dropout: share of scores and of updates dropped in training.

    Raises:
        ConfigError: fewer than two modalities or one step, an unknown way, or a gate without states.
    """

    needs = 'co-attention compares channels over all frames of a window, later ones too'

    def __init__(
        self,
        in_dims: dict[str, int],
        joint: str = 'projected',
        time_mix: str = 'linear',
        length: Count | None = None,
        steps: Depth = 2,
        states: str = 'last',
        gate: str | None = None,
        normalize: bool = False,
        dropout: Probability = 0.6,
    ) -> None:
        super().__init__()
        if len(in_dims) < 2 or steps < 1:
            raise ConfigError(
                f'CoAttentionFusion needs two modalities or more and a step or more, not {len(in_dims)} '
                f'({", ".join(in_dims)}) and {steps}'
            )
        _check('joint', joint, JOINTS)
        _check('time_mix', time_mix, TIME_MIXES)
        _check('states', states, STATES)
        if gate is not None:
            _check('gate', gate, GATES)
            if states != 'all':
                raise ConfigError(f"CoAttentionFusion: gate={gate!r} weighs states, so it needs states='all'")
        self.states, self.normalize = states, normalize
        self.time_mix = TIME_MIXES[time_mix]
        self.steps = nn.ModuleList(
            CoAttentionStep(in_dims, joint, time_mix, length, dropout) for _ in range(steps)
        )
        build = GATES[gate] if gate is not None else None
        self.gates = nn.ModuleDict({m: build(dim, steps + 1) for m, dim in in_dims.items()} if build else {})
        joined = steps + 1 if states == 'all' and gate is None else 1
        self.out_dim = joined * sum(in_dims.values())
        self.names = tuple(in_dims)
        # frames that every window must have; None for any number
        self.length = length if time_mix == 'linear' else None
        for module in self.modules():
            if isinstance(module, nn.Linear):  # as the reference starts all of them
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, inputs: dict[str, Tensor], observed: dict[str, Tensor]) -> Tensor:
        """Fuse a batch of windows.

        Args:
            inputs: ``{modality: (batch, time, dim)}``.
            observed: ``{modality: (batch, time) bool}``: frames that exist and in which it was observed.

        Returns:
            (batch, time, out_dim): the modalities in order. Zeros for a modality that is missed in the whole
            window, and, but for ``time_mix='linear'``, in every frame in which it is missed.

        Raises:
            DataError: the window's length is not that of ``time_mix='linear'``.
        """
        states = self.run_steps(inputs, observed)
        if self.gates:
            return torch.cat([gate([s[m] for s in states]) for m, gate in self.gates.items()], dim=-1)
        chosen = states if self.states == 'all' else states[-1:]
        return torch.cat([s[m] for m in self.names for s in chosen], dim=-1)

    def run_steps(self, inputs: dict[str, Tensor], observed: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """The states of each modality, (batch, time, dim): its input, then what each step gives."""
        part = {m: self.time_mix.taking_part(observed[m]) for m in self.names}
        # An encoder may hand over a transposed view; all that follows would copy it again and again.
        x = {m: inputs[m].contiguous().masked_fill(~part[m][..., None], 0) for m in self.names}
        if self.normalize:
            x = {m: _unit(v) for m, v in x.items()}
        states = [x]
        for step in self.steps:
            states.append(step(states[-1], part))
        return states


def _unit(x: Tensor) -> Tensor:
    """Vectors brought to unit length; those of zeros stay, with a gradient that does not explode."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / length.where(length > 0, 1)


def _check(argument: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise ConfigError(f'CoAttentionFusion has no {argument}={value!r}: {nearest(value, known)}')
