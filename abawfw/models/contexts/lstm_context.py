"""LSTM that runs through a whole video, one clip after the other."""

from __future__ import annotations

from torch import nn

from abawfw.components import Width
from abawfw.models.layers.carried_rnn import CarriedRNN
from abawfw.registry import CONTEXTS


@CONTEXTS.register_module()
class LSTMContext(CarriedRNN):
    """One unidirectional LSTM layer, its state carried from clip to clip of a video (docs/rucaim3.md).

    Args:
        in_dim: vector length of a frame.
        hidden: size of the LSTM's state.
    """

    state_names = ('output', 'cell')

    def __init__(self, in_dim: int, hidden: Width = 256) -> None:
        super().__init__(nn.LSTM(in_dim, hidden, batch_first=True))
