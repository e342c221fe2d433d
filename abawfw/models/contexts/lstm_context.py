"""LSTM that runs through a whole video, one clip after the other."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from abawfw.registry import CONTEXTS

State = tuple[Tensor, Tensor]


@CONTEXTS.register_module()
class LSTMContext(nn.Module):
    """One unidirectional LSTM layer, its state carried from clip to clip of a video (spec/rucaim3.md, LSTM).

    Args:
        in_dim: vector length of a frame.
        hidden: size of the LSTM's state.
    """

    stateful = True

    def __init__(self, in_dim: int, hidden: int = 256) -> None:
        super().__init__()
        self.rnn = nn.LSTM(in_dim, hidden, batch_first=True)
        self.out_dim = hidden

    def initial_state(self, n: int, device: torch.device | None = None) -> State:
        """State of ``n`` videos before their first frame: output and cell, each (n, hidden) zeros."""
        return torch.zeros(n, self.out_dim, device=device), torch.zeros(n, self.out_dim, device=device)

    def forward(self, x: Tensor, valid: Tensor, state: State) -> tuple[Tensor, State]:
        """Run over a clip.

        Args:
            x: (batch, time, in_dim).
            valid: (batch, time) bool, False for padding, which stands behind the frames.
            state: output and cell after the frame before, each (batch, hidden).

        Returns:
            Outputs (batch, time, hidden), zeros for padding, and the state after each row's last frame.
        """
        # Gates and cell are sums over hundreds of steps, so they stay in float32 under autocast.
        with torch.autocast(x.device.type, enabled=False):
            x, start = x.float(), (state[0][None], state[1][None])
            if valid.all():
                y, (h, c) = self.rnn(x, start)
                return y, (h[0], c[0])
            lengths = valid.sum(dim=1)
            # A packed row has at least one frame; the state of a row without any is put back below.
            packed = pack_padded_sequence(
                x, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
            )
            y, (h, c) = self.rnn(packed, start)
            y, _ = pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
            some = (lengths > 0)[:, None]
            return y, (torch.where(some, h[0], state[0]), torch.where(some, c[0], state[1]))
