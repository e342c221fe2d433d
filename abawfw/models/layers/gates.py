"""How a modality's states, the input and each step of co-attention, are weighed: three ways, in a dict."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from abawfw.models.layers.linear import Linear
from abawfw.models.layers.steps_lstm import StepsLSTM
from abawfw.models.layers.unit_mean import UnitMean

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
        # already holds those before it (each step adds to the last), so none needs to be told of the others
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


def weighted_sum(states: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Sum of states, each (batch, time, dim), times their weights (batch, time, states)."""
    parts = [x * w[..., None].to(x.dtype) for x, w in zip(states, weights.unbind(-1), strict=True)]
    return sum(parts[1:], parts[0])


GATES: dict[str, type[nn.Module]] = {'mean': MeanGate, 'lstm': LSTMGate, 'mlp': MLPGate}
