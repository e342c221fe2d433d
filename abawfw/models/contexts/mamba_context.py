"""Mamba: a selective state-space model over the frames of a video."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from abawfw.components import Count, Depth, Width
from abawfw.errors import ConfigError
from abawfw.models.layers import linear_recurrence
from abawfw.models.layers.cpu.depthwise import depthwise
from abawfw.models.layers.cpu.linear import Linear
from abawfw.registry import CONTEXTS

State = tuple[Tensor, Tensor]
INITIAL = ('paper', 'authors')
STEPS = (1e-3, 0.1)  # of the paper's initial values: a state forgets in tens to thousands of frames

# Numbers of a tensor of states of all frames: longer clips are computed part after part, so that memory does
# not grow with them; on a CPU a part fits into its cache.
PART = {'cpu': 2**21}
LARGE_PART = 2**26


@CONTEXTS.register_module()
class MambaContext(nn.Module):
    """Causal Mamba layers, their state carried from clip to clip (docs/mamba_va.md, Models).

    Args:
        in_dim: vector length of a frame, which all layers and the output have, too.
        layers: number of layers.
        states: numbers that a layer remembers of each channel.
        kernel: frames that the convolution of a layer looks at.
        expand: channels within a layer, as a multiple of ``in_dim``.
        normalize: bring each frame to zero mean and unit deviation first.
        initial: ``paper``, initial values of Mamba's paper, with a memory of tens to thousands of frames, or
            ``authors``, those of Mamba-VA, with one of a frame and a half.
        carry: carry the state from clip to clip of a video. Otherwise every clip starts without memory, as
            in Mamba-VA, and clips may come in any order.

    Raises:
        ConfigError: an unknown ``initial``.
    """

    state_names = ('inputs', 'memory')

    def __init__(
        self,
        in_dim: int,
        layers: Depth = 4,
        states: Width = 8,
        kernel: Count = 4,
        expand: Width = 1,
        normalize: bool = True,
        initial: Literal['paper', 'authors'] = 'paper',
        carry: bool = True,
    ) -> None:
        super().__init__()
        self.normalize, self.stateful, self.out_dim = normalize, carry, in_dim
        self.layers = nn.ModuleList(
            MambaLayer(in_dim, states, kernel, expand, initial) for _ in range(layers)
        )
        self.proj = nn.Linear(in_dim, in_dim)
        inner = expand * in_dim
        self._shapes = (layers, kernel - 1, inner), (layers, states, inner)

    def initial_state(self, n: int, device: torch.device | None = None) -> State:
        """State of ``n`` videos before their first frame: zeros.

        Returns:
            The last inputs of the convolutions, (n, layers, kernel - 1, channels), and the memories,
            (n, layers, states, channels).
        """
        inputs, memory = (torch.zeros(n, *shape, device=device) for shape in self._shapes)
        return inputs, memory

    def forward(self, x: Tensor, valid: Tensor, state: State | None = None) -> Tensor | tuple[Tensor, State]:
        """Run over a clip.

        Args:
            x: (batch, time, in_dim).
            valid: (batch, time) bool, False for padding, which stands behind the frames.
            state: after the frame before; None at the start of a video.

        Returns:
            (batch, time, in_dim), without meaning for padding; with ``carry`` also the state after each row's
            last frame.
        """
        y, after = self.stream(x, valid, state or self.initial_state(len(x), x.device))
        return (y, after) if self.stateful else y

    stream_state = initial_state

    def stream(self, x: Tensor, valid: Tensor, state: State) -> tuple[Tensor, State]:
        """As :meth:`forward`, and always with the state after."""
        x = x.masked_fill(~valid.unsqueeze(-1), 0.0)
        if self.normalize:
            x = F.layer_norm(x, x.shape[-1:])
        after = []
        for layer, inputs, memory in zip(self.layers, state[0].unbind(1), state[1].unbind(1), strict=True):
            x, left = layer(x, valid, (inputs, memory))
            after.append(left)
        inputs, memory = (torch.stack(parts, dim=1) for parts in zip(*after, strict=True))
        return self.proj(x), (inputs, memory)


class MambaLayer(nn.Module):
    """A mixer over time, added to its input, and layer normalisation."""

    def __init__(self, dim: int, states: int, kernel: int, expand: int, initial: str) -> None:
        super().__init__()
        self.mixer = MambaMixer(dim, states, kernel, expand, initial)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, valid: Tensor, state: State) -> tuple[Tensor, State]:
        """(batch, time, dim) to the same, and the state after."""
        y, after = self.mixer(x, valid, state)
        return self.norm(y + x), after


class MambaMixer(nn.Module):
    """Mamba's block, parameters named as in the paper's implementation (arXiv:2312.00752, section 3).

    Args:
        dim: vector length of a frame.
        states: numbers that are remembered of each channel.
        kernel: frames that the convolution looks at.
        expand: channels within, as a multiple of ``dim``.
        initial: ``paper`` or ``authors``, see `MambaContext`.

    Raises:
        ConfigError: an unknown ``initial``.
    """

    def __init__(self, dim: int, states: int, kernel: int, expand: int, initial: str = 'paper') -> None:
        super().__init__()
        if initial not in INITIAL:
            raise ConfigError(f'no initial values are called {initial!r}: choose one of {", ".join(INITIAL)}')
        inner, rank = expand * dim, math.ceil(dim / 16)
        self.sizes = (rank, states, states)
        self.in_proj = Linear(dim, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, kernel, groups=inner)
        self.x_proj = Linear(inner, sum(self.sizes), bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        self.A_log = nn.Parameter(torch.arange(1.0, states + 1).log().repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = Linear(inner, dim, bias=False)
        if initial == 'paper':
            nn.init.uniform_(self.dt_proj.weight, -(rank**-0.5), rank**-0.5)
            low, high = map(math.log, STEPS)
            step = torch.empty(inner).uniform_(low, high).exp()
            with torch.no_grad():  # so that softplus of the bias is the step
                self.dt_proj.bias.copy_(step + (-torch.expm1(-step)).log())
        else:
            nn.init.normal_(self.conv1d.weight, std=(inner * kernel) ** -0.5)
            nn.init.zeros_(self.conv1d.bias)  # type: ignore[arg-type]
            nn.init.normal_(self.A_log, std=0.01)
            nn.init.xavier_uniform_(self.out_proj.weight)
            nn.init.normal_(self.dt_proj.weight, std=0.02)
            nn.init.normal_(self.dt_proj.bias, std=0.02)

    def forward(self, x: Tensor, valid: Tensor, state: State) -> tuple[Tensor, State]:
        """Run over a clip.

        Args:
            x: (batch, time, dim).
            valid: (batch, time) bool.
            state: the last inputs of the convolution, (batch, kernel - 1, channels), and the memory,
                (batch, states, channels).

        Returns:
            (batch, time, dim), and the state after each row's last frame.
        """
        u, gate = self.in_proj(x).chunk(2, dim=-1)
        past, memory = state
        u = torch.cat([past.to(u.dtype), u], dim=1)
        kept = valid.sum(dim=1, keepdim=True) + torch.arange(past.shape[1], device=x.device)
        inputs = u.gather(1, kept.unsqueeze(-1).expand(-1, -1, u.shape[2])).to(past.dtype)
        u = F.silu(depthwise(self.conv1d, u))
        low_rank, entering, leaving = self.x_proj(u).split(self.sizes, dim=-1)
        with torch.autocast(x.device.type, enabled=False):
            u, gate, low_rank, entering, leaving = map(_full, (u, gate, low_rank, entering, leaving))
            step = F.softplus(self.dt_proj(low_rank))
            step = step.masked_fill(~valid.unsqueeze(-1), 0.0)  # a step of nothing leaves the memory as it is
            y, memory = selective_scan(u, step, self.A_log, entering, leaving, memory.to(u.dtype))
            y = (y + self.D * u) * F.silu(gate)
        return self.out_proj(y), (inputs, memory)


def selective_scan(
    u: Tensor, step: Tensor, a_log: Tensor, entering: Tensor, leaving: Tensor, memory: Tensor
) -> tuple[Tensor, Tensor]:
    """``h[t] = exp(-step[t] exp(a_log)) h[t-1] + step[t] u[t] entering[t]``, ``y[t] = sum(h[t] leaving[t])``.

    Args:
        u: (batch, time, channels).
        step: (batch, time, channels), 0 or more.
        a_log: (channels, states).
        entering: (batch, time, states), B of the paper.
        leaving: (batch, time, states), C of the paper.
        memory: h before the first frame, (batch, states, channels).

    Returns:
        y, (batch, time, channels), and h after the last frame.
    """
    rate = -a_log.exp().mT
    sequences = (step * u, step, entering, leaving)
    parts = [sequences]
    if not torch.compiler.is_exporting():  # whose number of frames is open
        frames = max(1, PART.get(u.device.type, LARGE_PART) // max(1, memory.numel()))
        parts = list(zip(*(x.split(frames, dim=1) for x in sequences), strict=True))
    found = []
    for v, s, b, c in parts:
        decay = (s.unsqueeze(2) * rate).exp()
        h = linear_recurrence(decay, v.unsqueeze(2) * b.unsqueeze(-1), memory)
        found.append((c.unsqueeze(2) @ h).squeeze(2))
        memory = h[:, -1]
    return torch.cat(found, dim=1), memory


def _full(x: Tensor) -> Tensor:
    """As float32, if autocast has rounded it."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
