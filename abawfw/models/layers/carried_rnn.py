"""A recurrent layer that runs through a whole video, one clip after the other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]


class CarriedRNN(nn.Module):
    """One layer of torch in one direction, its state carried from clip to clip of a video.

    Args:
        rnn: an LSTM or a GRU, ``batch_first``.
    """

    stateful = True
    compiles = False  # the library's kernel is no part of a graph, and the host must know where to cut
    state_names: tuple[str, ...]

    def __init__(self, rnn: nn.RNNBase) -> None:
        super().__init__()
        self.rnn = rnn
        self.out_dim = rnn.hidden_size

    def initial_state(self, n: int, device: torch.device | None = None) -> State:
        """State of ``n`` videos before their first frame: zeros, (n, hidden) for each of ``state_names``."""
        return tuple(torch.zeros(n, self.out_dim, device=device) for _ in self.state_names)

    def forward(
        self, x: Tensor, valid: Tensor, state: State, lengths: Sequence[int] | None = None
    ) -> tuple[Tensor, State]:
        """Run over a clip.

        Args:
            x: (batch, time, in_dim).
            valid: (batch, time) bool, False for padding, which stands behind the frames.
            state: after the frame before, (batch, hidden) for each of ``state_names``.
            lengths: frames of each row that exist; None to read them from ``valid``.

        Returns:
            Outputs (batch, time, hidden), without meaning for padding, and the state after each row's last
            frame.
        """
        if torch.compiler.is_exporting():  # one clip without padding: nothing to cut, and no loop to unroll
            y, state = self._called(x, state)
            # The exporter takes the example's number of frames for that of all clips, behind such a layer.
            return y.index_select(1, torch.arange(x.shape[1], device=x.device)), state
        ends = valid.sum(dim=1)
        pieces, at = [], 0
        # Cut where rows end, to catch their state there: a packed sequence would do the same, but on a CPU it
        # runs a kernel per frame, four times slower than the fused one.
        for stop in sorted({*(ends.tolist() if lengths is None else lengths), x.shape[1]} - {0}):
            y, after = self._called(x[:, at:stop], state)
            runs = (ends >= stop)[:, None]
            state = tuple(torch.where(runs, new, old) for new, old in zip(after, state, strict=True))
            pieces.append(y)
            at = stop
        return (pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)), state

    stream_state = initial_state
    stream = forward

    def _called(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, after = run_rnn(self.rnn, x, tuple(part[None] for part in state))
        return y, tuple(part[0] for part in after)


def run_rnn(rnn: nn.RNNBase, x: Tensor, state: State) -> tuple[Tensor, State]:
    """A recurrent layer of torch, in float32 where autocast asks for a precision that its library has not.

    Where autocast says bfloat16, cuDNN's computes in float16 (torch, ``AutocastRNN.cpp``), for which the loss
    would have to be scaled. oneDNN's LSTM in bfloat16 and float16 needs instructions (AVX-512) that many
    processors lack; linear maps and convolutions have a fallback there, the LSTM fails.

    Args:
        rnn: an LSTM or a GRU, ``batch_first``.
        x: (batch, time, in_dim).
        state: (layers * directions, batch, hidden), two for an LSTM, one for a GRU.

    Returns:
        Outputs, and as many states.
    """
    kind = x.device.type
    exact = torch.is_autocast_enabled(kind) and not _has_kernel(kind)
    if exact:
        x, state = x.float(), tuple(part.float() for part in state)
    with torch.autocast(kind, enabled=False) if exact else nullcontext():
        y, after = rnn(x, state if len(state) > 1 else state[0])
    return y, after if len(state) > 1 else (after,)


def _has_kernel(kind: str) -> bool:
    """Whether a recurrent layer on such a device has the precision of autocast."""
    asked, mkldnn = torch.get_autocast_dtype(kind), torch.ops.mkldnn
    if kind != 'cpu':
        return asked == torch.float16
    found = mkldnn._is_mkldnn_bf16_supported if asked == torch.bfloat16 else mkldnn._is_mkldnn_fp16_supported
    return bool(found())
