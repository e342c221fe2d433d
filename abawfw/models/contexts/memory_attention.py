"""Attention to what was seen earlier in a video."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed import is_available, is_initialized

from abawfw.components import Count, Width
from abawfw.errors import ConfigError
from abawfw.models.layers import MultiheadAttention
from abawfw.registry import CONTEXTS

State = tuple[Tensor, Tensor]
MODES = ('multihead', 'single', 'none')


@CONTEXTS.register_module()
class MemoryAttention(nn.Module):
    """Add attention to a memory of earlier clips of the video (docs/rucaim3.md, The four models).

    After each clip the means of consecutive runs of its frames (before the attention) are appended, detached.

    Args:
        in_dim: vector length of a frame.
        mode: ``multihead`` (projected), ``single`` (unprojected, scaled by the root of ``in_dim``) or
            ``none`` (the input is passed on, as in converted models of RUCAIM3 that were trained without).
        heads: heads of ``multihead``.
        average: frames of a run; the last run of a clip may be shorter.
        capacity: entries kept, the newest ones; None keeps all.

    Raises:
        ConfigError: an unknown ``mode``, or ``average`` or ``capacity`` below 1.
    """

    stateful = True
    state_names = ('memory', 'count')
    needs = 'clips enter the memory as a whole, in means over several of their frames'

    def __init__(
        self,
        in_dim: int,
        mode: Literal['multihead', 'single', 'none'] = 'multihead',
        heads: Width = 4,
        average: Count = 10,
        capacity: Count | None = 100,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise ConfigError(f'MemoryAttention has no mode {mode!r}: choose one of {", ".join(MODES)}')
        if average < 1 or (capacity is not None and capacity < 1):
            raise ConfigError(
                f'MemoryAttention needs average and capacity of 1 or more, not {average} and {capacity}'
            )
        self.mode, self.average, self.capacity = mode, average, capacity
        self.attention = MultiheadAttention(in_dim, heads) if mode == 'multihead' else None
        self.out_dim = in_dim
        self.compiles = capacity is not None  # without one, the host must know how much there is

    def initial_state(self, n: int, device: torch.device | None = None) -> State:
        """Memory of ``n`` videos before their first frame: entries (n, 0, in_dim) and their number (n,)."""
        return (
            torch.zeros(n, 0, self.out_dim, device=device),
            torch.zeros(n, dtype=torch.long, device=device),
        )

    def fixed_state(self, n: int) -> State:
        """As :meth:`initial_state`, with entries of zeros up to ``capacity``: it keeps its shape.

        Raises:
            ConfigError: there is no ``capacity``.
        """
        if self.capacity is None:
            raise ConfigError(
                'MemoryAttention(capacity=None) has a memory that grows: set capacity to give it one shape'
            )
        return torch.zeros(n, self.capacity, self.out_dim), torch.zeros(n, dtype=torch.long)

    def forward(self, x: Tensor, valid: Tensor, state: State) -> tuple[Tensor, State]:
        """Attend to the memory, then append the clip to it.

        Args:
            x: (batch, time, in_dim).
            valid: (batch, time) bool, False for padding, which stands behind the frames.
            state: memory (batch, entries, in_dim), oldest entry first, and how many entries
                a row has (batch,).

        Returns:
            (batch, time, in_dim) and the new memory.
        """
        if self.mode == 'none':
            return x, state
        return self._attend(x, *state), self._append(x.detach().float(), valid, *state)

    def _attend(self, x: Tensor, memory: Tensor, count: Tensor) -> Tensor:
        size = memory.shape[1]
        if size == 0:
            if self.training and self.attention is not None and is_available() and is_initialized():
                # Ranks average the gradients of all parameters in every step, also of those unused here.
                x = x + 0.0 * sum(p.sum() for p in self.attention.parameters())
            return x
        some = (count > 0)[:, None]
        # A row without memory attends to one entry of zeros, and its result is not used.
        mask = (torch.arange(size, device=x.device) < count[:, None]) | ~some
        if self.attention is not None:
            recalled = self.attention(x, memory, mask)
        else:
            memory = memory.to(x.dtype)
            recalled = F.scaled_dot_product_attention(x, memory, memory, attn_mask=mask[:, None, :])
        return torch.where(some[:, :, None], x + recalled, x)

    def _append(self, x: Tensor, valid: Tensor, memory: Tensor, count: Tensor) -> State:
        """Append the means of runs to each row's memory, and let go of the oldest entries beyond capacity."""
        short = -x.shape[1] % self.average
        counted = F.pad(valid, (0, short)).unflatten(1, (-1, self.average))[..., None].to(x.dtype)
        runs = F.pad(x, (0, 0, 0, short)).unflatten(1, (-1, self.average))
        means = (runs * counted).sum(2) / counted.sum(2).clamp(min=1)

        old = memory.shape[1]
        total = count + (valid.sum(1) + self.average - 1) // self.average
        kept = total if self.capacity is None else total.clamp(max=self.capacity)
        # Without a capacity the memory is cut to the fullest row, or it would grow with every video.
        size = int(kept.max()) if self.capacity is None else min(old + means.shape[1], self.capacity)
        wanted = (total - kept)[:, None] + torch.arange(size, device=x.device)
        index = torch.where(wanted < count[:, None], wanted, wanted - count[:, None] + old)
        entries = torch.cat([memory, means], dim=1)
        index = index.clamp(max=entries.shape[1] - 1)[:, :, None].expand(-1, -1, x.shape[2])
        filled = torch.arange(size, device=x.device) < kept[:, None]
        return entries.gather(1, index) * filled[:, :, None], kept
