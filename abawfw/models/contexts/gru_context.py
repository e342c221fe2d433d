"""GRU that runs through a whole video, one clip after the other."""

from __future__ import annotations

from torch import nn

from abawfw.components import Width
from abawfw.models.layers.carried_rnn import CarriedRNN
from abawfw.registry import CONTEXTS


@CONTEXTS.register_module()
class GRUContext(CarriedRNN):
    """One unidirectional GRU layer, its state carried from clip to clip of a video (arXiv:1406.1078).

    The form of ``torch.nn.GRU``, which resets the state behind its linear map. Several in succession are the
    layers of a deeper one.

    Args:
        in_dim: vector length of a frame.
        hidden: size of the GRU's state.
    """

    state_names = ('output',)

    def __init__(self, in_dim: int, hidden: Width = 256) -> None:
        super().__init__(nn.GRU(in_dim, hidden, batch_first=True))
