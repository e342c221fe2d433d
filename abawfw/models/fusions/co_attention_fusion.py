"""One step of dense co-attention."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from abawfw.components import Count, Depth, Probability
from abawfw.errors import ConfigError, nearest
from abawfw.models.layers.cpu.dropout import Dropout
from abawfw.models.layers.cpu.linear import Linear
from abawfw.models.layers.cpu.lstm import StepsLSTM, UnitMean
from abawfw.models.layers.time_mix import TIME_MIXES
from abawfw.registry import FUSIONS

JOINTS = {'projected': lambda dim: Linear(dim, dim), 'raw': lambda dim: nn.Identity()}


class CoAttentionStep(nn.Module):
    """Each modality attends, channel by channel, to all of them joined (docs/tagf.md, Models).

    Args:
        dims: vector length of each modality, in the order in which they are joined.
        joint: a key of ``JOINTS``: whether the joined modalities are projected.
        time_mix: a key of ``TIME_MIXES``: how keys mix frames.
        length: frames of every window, for ``linear`` only.
        dropout: fraction of scores and of updates dropped in training.
    """

    def __init__(
        self, dims: dict[str, int], joint: str, time_mix: str, length: int | None, dropout: float
    ) -> None:
        super().__init__()
        width = sum(dims.values())
        self.joint = JOINTS[joint](width)
        self.keys = nn.ModuleDict({m: TIME_MIXES[time_mix](dim, length) for m, dim in dims.items()})
        self.values = nn.ModuleDict({m: Linear(dim, dim) for m, dim in dims.items()})
        self.outputs = nn.ModuleDict({m: Linear(width, dim) for m, dim in dims.items()})
        self.dropout = Dropout(dropout)

    def forward(self, x: dict[str, Tensor], part: dict[str, Tensor]) -> dict[str, Tensor]:
        """Update every modality.

        Args:
            x: ``{modality: (batch, time, dim)}``, zero where ``part`` is False.
            part: ``{modality: (batch, time) bool}``: frames that take part.

        Returns:
            The same as ``x``, zero where ``part`` is False.
        """
        updated = {}
        for m, weighted in self.attend(x, part).items():
            update = self.dropout(self.outputs[m](weighted).relu_())
            updated[m] = (x[m] + update).masked_fill_(~part[m][..., None], 0)
        return updated

    def attend(self, x: dict[str, Tensor], part: dict[str, Tensor]) -> dict[str, Tensor]:
        """What each modality attends to: ``{modality: (batch, time, sum of dims)}``."""
        joined = self.joint(torch.cat(list(x.values()), dim=-1))
        joined = joined / math.sqrt(joined.shape[-1])
        weighted = {}
        for m, sequence in x.items():
            keys = self.keys[m](sequence, part[m])
            scores = self.dropout(torch.tanh(keys.mT @ joined))
            # The order of the two makes no difference, and this one needs a tensor less.
            weighted[m] = torch.tanh((self.values[m](sequence) @ scores).relu_())
        return weighted


TEMPERATURE = 0.1  # of the softmax over scores that are means of unit vectors
HIDDEN = 64  # of the MLP: a thousandth of the LSTM's work, and no narrower than a score needs


class MeanGate(nn.Module):
    """Every state alike.

    Args:
        dim: vector length of a state.
        states: how many there are.
    """

    def __init__(self, dim: int, states: int) -> None:
        super().__init__()

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """States, each (batch, time, dim), to their mean."""
        return torch.stack(list(states)).mean(dim=0)


class LSTMGate(nn.Module):
    """TAGF's gate: a frame's states are weighed by what a BiLSTM over them says (arXiv:2507.02080).

    A score is the mean over the channels of a unit vector, so no weight leaves [.171, .548] with three states
    of 512 channels.

    Args:
        dim: vector length of a state.
        states: how many there are.
    """

    def __init__(self, dim: int, states: int) -> None:
        super().__init__()
        self.lstm = StepsLSTM(dim, 2 * dim)

    def scores(self, states: Sequence[Tensor]) -> Tensor:
        """(batch, time, states), of states of (batch, time, dim) each."""
        shape = states[0].shape[:-1]
        vectors = self.lstm.projected([x.reshape(-1, x.shape[-1]) for x in states])
        return torch.stack([UnitMean.apply(v) for v in vectors], dim=-1).view(*shape, -1)

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """States, each (batch, time, dim), to their weighted sum."""
        return weighted_sum(states, torch.softmax(self.scores(states) / TEMPERATURE, dim=-1))


class MLPGate(nn.Module):
    """A frame's states are weighed by a small MLP, which sees each state and knows which one it is.

    Args:
        dim: vector length of a state.
        states: how many there are.
    """

    def __init__(self, dim: int, states: int) -> None:
        super().__init__()
        # Scores are free, so a frame may use one state alone: TAGF's bounded ones make nearly a mean. A state
        # already holds those before it (each step adds to the last), so none needs the others
        # but through the softmax, and what a recursion would cost is saved.
        self.hidden = Linear(dim, HIDDEN)
        self.position = nn.Parameter(torch.zeros(states, HIDDEN))
        self.score = nn.Linear(HIDDEN, 1)

    def scores(self, states: Sequence[Tensor]) -> Tensor:
        """(batch, time, states), of states of (batch, time, dim) each."""
        hidden = (self.hidden(x) + p for x, p in zip(states, self.position, strict=True))
        return torch.cat([self.score(torch.relu(x)) for x in hidden], dim=-1)

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """States, each (batch, time, dim), to their weighted sum."""
        return weighted_sum(states, torch.softmax(self.scores(states), dim=-1))


class LinearGate(nn.Module):
    """GRJCA's gate: the last of a frame's states says how all are weighed (arXiv:2503.12261).

    What is negative in the weighted sum becomes 0.

    Args:
        dim: vector length of a state.
        states: how many there are.
    """

    def __init__(self, dim: int, states: int) -> None:
        super().__init__()
        self.score = Linear(dim, states)

    def weights(self, last: Tensor) -> Tensor:
        """(batch, time, states), of the last state, (batch, time, dim)."""
        return torch.softmax(self.score(last) / TEMPERATURE, dim=-1)

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """States, each (batch, time, dim), to their weighted sum."""
        return weighted_sum(states, self.weights(states[-1])).relu()


class HierarchicalGate(nn.Module):
    """HGRJCA's gates: one after every step, over the states so far, and one over what these give.

    Args:
        dim: vector length of a state.
        states: how many there are.
    """

    def __init__(self, dim: int, states: int) -> None:
        super().__init__()
        self.upto = nn.ModuleList(LinearGate(dim, n) for n in range(2, states + 1))
        self.over = LinearGate(dim, states - 1)

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """States, each (batch, time, dim), to their weighted sum."""
        gated = [gate(states[:n]) for n, gate in enumerate(self.upto, 2)]
        return weighted_sum(gated, self.over.weights(states[-1]))


class HierarchicalMLPGate(nn.Module):
    """The gates of HGRJCA, each of which sees all that it chooses among and drops nothing.

    Args:
        dim: vector length of a state.
        states: how many there are.
    """

    def __init__(self, dim: int, states: int) -> None:
        super().__init__()
        self.upto = nn.ModuleList(MLPGate(dim, n) for n in range(2, states + 1))
        self.over = MLPGate(dim, states - 1)

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """States, each (batch, time, dim), to their weighted sum."""
        return self.over([gate(states[:n]) for n, gate in enumerate(self.upto, 2)])


def weighted_sum(states: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Sum of states, each (batch, time, dim), times their weights (batch, time, states)."""
    parts = [x * w[..., None].to(x.dtype) for x, w in zip(states, weights.unbind(-1), strict=True)]
    return sum(parts[1:], parts[0])


GATES: dict[str, type[nn.Module]] = {
    'mean': MeanGate,
    'lstm': LSTMGate,
    'mlp': MLPGate,
    'linear': LinearGate,
    'hierarchical': HierarchicalGate,
    'hierarchical_mlp': HierarchicalMLPGate,
}


STATES = ('last', 'all')


@FUSIONS.register_module()
class CoAttentionFusion(nn.Module):
    """Co-attention of two or more modalities, step by step, and a choice among the steps.

    The systems of the family (docs/tagf.md, Models) are these arguments:

    - TAGF: ``states='all', gate='lstm', normalize=True``;
    - CAN with co-attention: as the arguments are;
    - RJCMA: ``joint='raw'``;
    - GRJCA and HGRJCA: as TAGF, with ``gate='linear'`` and ``gate='hierarchical'``;

    each with ``time_mix='linear', length=300``. The other ways of mixing work with windows of any length and
    leave out what is padding or was not observed.

    Args:
        in_dims: vector length of each modality; its order is the order of joining.
        joint: ``projected`` or ``raw``: what keys are compared with, the joined modalities or a linear map of
            them.
        time_mix: ``linear`` (windows of ``length`` frames only), ``identity``, ``conv`` (depthwise) or
            ``attention``: how keys mix frames.
        length: frames of every window, for ``linear``.
        steps: how often the modalities attend, each time with own weights.
        states: ``last``: what the last step gives; ``all``: the input and what each step gives.
        gate: with all states, how they are weighed: ``mean``, ``lstm`` (TAGF's, bounded), ``mlp``
            (unbounded), ``linear`` and ``hierarchical`` (GRJCA's and HGRJCA's, not negative) or
            ``hierarchical_mlp``; None joins them.
        normalize: bring every frame of the input to unit length.
        dropout: fraction of scores and of updates dropped in training.

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
