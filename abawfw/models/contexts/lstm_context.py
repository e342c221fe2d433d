"""LSTM that runs through a whole video, one clip after the other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from abawfw.components import Width
from abawfw.registry import CONTEXTS

State = tuple[Tensor, Tensor]


@CONTEXTS.register_module()
class LSTMContext(nn.Module):
    """One unidirectional LSTM layer, its state carried from clip to clip of a video (docs/rucaim3.md).

    Args:
        in_dim: vector length of a frame.
        hidden: size of the LSTM's state.
    """

    stateful = True
    compiles = False  # the library's kernel is no part of a graph, and the host must know where to cut
    state_names = ('output', 'cell')

    def __init__(self, in_dim: int, hidden: Width = 256) -> None:
        super().__init__()
        self.rnn = nn.LSTM(in_dim, hidden, batch_first=True)
        self.out_dim = hidden

    def initial_state(self, n: int, device: torch.device | None = None) -> State:
        """State of ``n`` videos before their first frame: output and cell, each (n, hidden) zeros."""
        return torch.zeros(n, self.out_dim, device=device), torch.zeros(n, self.out_dim, device=device)

    def forward(
        self, x: Tensor, valid: Tensor, state: State, lengths: Sequence[int] | None = None
    ) -> tuple[Tensor, State]:
        """Run over a clip.

        Args:
            x: (batch, time, in_dim).
            valid: (batch, time) bool, False for padding, which stands behind the frames.
            state: output and cell after the frame before, each (batch, hidden).
            lengths: frames of each row that exist; None to read them from ``valid``.

        Returns:
            Outputs (batch, time, hidden), without meaning for padding, and the state after each row's last
            frame.
        """
        h, c = state
        if torch.compiler.is_exporting():  # one clip without padding: nothing to cut, and no loop to unroll
            y, (h_n, c_n) = self.rnn(x, (h[None], c[None]))
            return y, (h_n[0], c_n[0])
        ends = valid.sum(dim=1)
        pieces, at = [], 0
        # Cut where rows end, to catch their state there: a packed sequence would do the same, but on a CPU it
        # runs a kernel per frame, four times slower than the fused one.
        for stop in sorted({*(ends.tolist() if lengths is None else lengths), x.shape[1]} - {0}):
            y, (h_n, c_n) = _run(self.rnn, x[:, at:stop], (h[None], c[None]))
            runs = (ends >= stop)[:, None]
            h, c = torch.where(runs, h_n[0], h), torch.where(runs, c_n[0], c)
            pieces.append(y)
            at = stop
        return (pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)), (h, c)

    stream_state = initial_state
    stream = forward


def _run(lstm: nn.LSTM, x: Tensor, state: State) -> tuple[Tensor, State]:
    """``lstm(x, state)``, in float32 where autocast asks a processor for a precision that it has not.

    oneDNN's LSTM in bfloat16 and float16 needs instructions (AVX-512) that many processors lack; linear maps
    and convolutions have a fallback there, the LSTM fails.
    """
    if x.device.type != 'cpu' or not torch.is_autocast_enabled('cpu') or _has_kernel():
        return lstm(x, state)
    with torch.autocast('cpu', enabled=False):
        return lstm(x.float(), (state[0].float(), state[1].float()))


def _has_kernel() -> bool:
    mkldnn = torch.ops.mkldnn
    if torch.get_autocast_dtype('cpu') == torch.bfloat16:
        return bool(mkldnn._is_mkldnn_bf16_supported())
    return bool(mkldnn._is_mkldnn_fp16_supported())
