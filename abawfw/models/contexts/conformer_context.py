"""Conformer: attention for what is far apart in a video, convolutions for what is near."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from abawfw.components import Count, Depth, Probability, Width
from abawfw.errors import ConfigError
from abawfw.models.layers import Dropout
from abawfw.models.layers.cpu.depthwise import depthwise
from abawfw.models.layers.cpu.linear import Linear
from abawfw.models.layers.positioned_attention import waves
from abawfw.models.layers.transformer import attention_mask
from abawfw.registry import CONTEXTS

State = tuple[Tensor, ...]
FRAMES = 64  # queries that are compared with a bounded past at once, at least


@CONTEXTS.register_module()
class ConformerContext(nn.Module):
    """Conformer layers (Gulati et al. 2020, arXiv:2005.08100), over a clip or, with ``past``, causal.

    A layer is half a feed-forward step, self-attention with relative positions, a convolution module, the
    other half step and a layer normalisation; sizes of the published models are ``heads=4``, ``kernel=32``
    and a ``ffn`` of four times the width. One thing differs: behind the depthwise convolution stands a layer
    normalisation of each frame in place of batch normalisation, whose statistics would let the other clips
    of a batch, and padding, have a part in what a clip gives. Clips may have any number of frames.

    Args:
        in_dim: vector length of a frame, and width of the layers.
        layers: how many there are.
        heads: attention heads of a layer.
        ffn: width of the feed-forward parts.
        kernel: frames that the convolution of a layer looks at.
        dropout: fraction of activations dropped in training.
        past: None: a frame attends to its whole clip, and the convolutions look to both sides. A number: it
            attends to itself and that many frames before it, the convolutions look back only, and what they
            need of earlier frames is carried from clip to clip of a video.

    Raises:
        ConfigError: ``heads`` does not divide ``in_dim``.
    """

    state_names = ('attended', 'convolved', 'count')

    def __init__(
        self,
        in_dim: int,
        layers: Depth = 4,
        heads: Width = 4,
        ffn: Width = 1024,
        kernel: Count = 31,
        dropout: Probability = 0.1,
        past: Count | None = None,
    ) -> None:
        super().__init__()
        self.stateful, self.out_dim = past is not None, in_dim
        if past is None:
            self.needs = 'every frame attends to all frames of its clip, later ones too'
        self.layers = nn.ModuleList(
            ConformerLayer(in_dim, heads, ffn, kernel, dropout, centred=past is None) for _ in range(layers)
        )
        self._shapes = (layers, past or 0, 2 * in_dim), (layers, kernel - 1, in_dim)

    def initial_state(self, n: int, device: torch.device | None = None) -> State:
        """State of ``n`` videos before their first frame: zeros.

        Returns:
            Keys and values of the past, (n, layers, past, 2 in_dim), the last inputs of the convolutions,
            (n, layers, kernel - 1, in_dim), and the number of frames of the past that exist, (n,).
        """
        attended, convolved = (torch.zeros(n, *shape, device=device) for shape in self._shapes)
        return attended, convolved, torch.zeros(n, dtype=torch.long, device=device)

    def forward(
        self,
        x: Tensor,
        valid: Tensor,
        state: State | None = None,
        lengths: Sequence[int] | None = None,
    ) -> Tensor | tuple[Tensor, State]:
        """Run over a clip.

        Args:
            x: (batch, time, in_dim).
            valid: (batch, time) bool, False for padding, which stands behind the frames.
            state: with ``past``, after the frame before.
            lengths: frames of each row that exist, see `attention_mask`.

        Returns:
            (batch, time, in_dim), without meaning for padding; with ``past`` also the state after each row's
            last frame.
        """
        if self.stateful:
            return self.stream(x, valid, state or self.initial_state(len(x), x.device))
        mask = attention_mask(valid, lengths)
        for layer in self.layers:
            x = layer(x, valid, mask)
        return x

    stream_state = initial_state

    def stream(self, x: Tensor, valid: Tensor, state: State) -> tuple[Tensor, State]:
        """As :meth:`forward` with ``past``."""
        attended, convolved, count = state
        after = []
        layers: Any = self.layers
        for layer, *before in zip(layers, attended.unbind(1), convolved.unbind(1), strict=True):
            x, left = layer.carried(x, valid, *before, count)
            after.append(left)
        keys, inputs = (torch.stack(parts, dim=1) for parts in zip(*after, strict=True))
        return x, (keys, inputs, (count + valid.sum(dim=1)).clamp(max=attended.shape[2]))


class ConformerLayer(nn.Module):
    """One layer; arguments as in `ConformerContext`."""

    def __init__(self, dim: int, heads: int, ffn: int, kernel: int, dropout: float, centred: bool) -> None:
        super().__init__()
        self.first, self.second = (
            nn.Sequential(
                nn.LayerNorm(dim),
                Linear(dim, ffn),
                nn.SiLU(),
                Dropout(dropout),
                Linear(ffn, dim),
                Dropout(dropout),
            )
            for _ in range(2)
        )
        self.attention = RelativeAttention(dim, heads)
        self.convolution = ConvolutionModule(dim, kernel, dropout, centred)
        self.norm_attention, self.norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor, mask: Tensor | None) -> Tensor:
        """(batch, time, dim) to the same, within a clip; ``mask`` is of what may be attended to."""
        x = x + 0.5 * self.first(x)
        x = x + self.dropout(self.attention(self.norm_attention(x), mask))
        x = x + self.convolution(x, valid)
        return self.norm(x + 0.5 * self.second(x))

    def carried(
        self, x: Tensor, valid: Tensor, attended: Tensor, convolved: Tensor, count: Tensor
    ) -> tuple[Tensor, State]:
        """(batch, time, dim) to the same, and the state after: keys and values, inputs of the convolution."""
        x = x + 0.5 * self.first(x)
        y, attended = self.attention.carried(self.norm_attention(x), valid, attended, count)
        x = x + self.dropout(y)
        y, convolved = self.convolution.carried(x, valid, convolved)
        x = x + y
        return self.norm(x + 0.5 * self.second(x)), (attended, convolved)


class RelativeAttention(nn.Module):
    """Self-attention with the relative positions of Transformer-XL (arXiv:1901.02860, section 3.3).

    A query is compared with a key, and with the sinusoids of how far the key lies back; a vector for each of
    the two stands for what holds for all queries.

    Args:
        dim: width of the sequence.
        heads: number of heads.

    Raises:
        ConfigError: ``heads`` does not divide ``dim``.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ConfigError(f'{heads} attention heads do not divide a width of {dim}: change one of them')
        self.heads = heads
        self.in_proj, self.out_proj = Linear(dim, 3 * dim), Linear(dim, dim)
        self.position = nn.Linear(dim, dim, bias=False)
        self.to_content, self.to_position = (
            nn.Parameter(torch.zeros(heads, 1, dim // heads)) for _ in range(2)
        )

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Attend within a clip.

        Args:
            x: (batch, time, dim).
            mask: (batch, time) bool, what may be attended to, at least one frame a row; None if that is all.

        Returns:
            (batch, time, dim).
        """
        time = x.shape[1]
        query, key, value = map(self._split, self.in_proj(x).chunk(3, dim=-1))
        far = time - 1 - torch.arange(2 * time - 1, device=x.device)
        return self._joined(
            self._attend(query, key, value, far, time - 1, None if mask is None else mask[:, None])
        )

    def carried(self, x: Tensor, valid: Tensor, past: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Attend to a bounded past.

        Args:
            x: (batch, time, dim).
            valid: (batch, time) bool.
            past: keys and values of the frames before, (batch, past, 2 dim).
            count: how many of them, the last ones, exist, (batch,).

        Returns:
            (batch, time, dim), and keys and values of each row's last frames.
        """
        size, (time, dim) = past.shape[1], x.shape[1:]
        query, memory = self.in_proj(x).split([dim, 2 * dim], dim=-1)
        memory = torch.cat([past.to(memory.dtype), memory], dim=1)
        query, key, value = map(self._split, (query, *memory.chunk(2, dim=-1)))
        column = torch.arange(size + time, device=x.device)
        there = (column >= (size - count)[:, None])[:, None]
        far = torch.arange(size, -1, -1, device=x.device)
        parts = []
        # Part after part, so that cost grows with the length of a clip and not with its square; the length
        # of an exported one is open.
        exporting, step = torch.compiler.is_exporting(), max(size, FRAMES)
        for start in [0] if exporting else range(0, time, step):
            some = query if exporting else query[:, :, start : start + step]
            stop = start + size + some.shape[2]
            back = size + column[start : stop - size, None] - column[start:stop]
            mask = there[..., start:stop] & (back >= 0) & (back <= size)
            parts.append(self._attend(some, key[:, :, start:stop], value[:, :, start:stop], far, 0, mask))
        return self._joined(torch.cat(parts, dim=2)), last_frames(memory, valid, size).to(past.dtype)

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, far: Tensor, first: int, mask: Tensor | None
    ) -> Tensor:
        """Attend from queries to keys, each (batch, heads, n, dim of a head).

        Args:
            query: what attends.
            key: what it is compared with.
            value: what is taken.
            far: distances, (distances,), the farthest first: of query i, number p is that of key
                ``i + p - first``, if there is such a key.
            first: see ``far``.
            mask: (batch, queries or 1, keys) bool, what may be attended to; None for all keys.
        """
        rows, columns = query.shape[2], key.shape[2]
        size = query.shape[-1]
        place = self.position(waves(far.float(), self.heads * size).to(query.dtype))
        # Row i has to be moved by i - first columns: rows that are a column too long, one behind the other in
        # memory, only need to be cut into shorter ones. Not len(): in an export the length is open.
        width = columns + first
        place = F.pad(place, (0, 0, 0, width + 1 - far.shape[0])).unflatten(-1, (self.heads, size))
        near = (query + self.to_position) * size**-0.5 @ place.permute(1, 2, 0)
        near = near.flatten(-2)[..., first : first + rows * width].unflatten(-1, (rows, width))
        scores = (query + self.to_content) * size**-0.5 @ key.mT + near[..., :columns]
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], float('-inf'))
        return scores.softmax(dim=-1) @ value

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _joined(self, x: Tensor) -> Tensor:
        return self.out_proj(x.transpose(1, 2).flatten(2))


class ConvolutionModule(nn.Module):
    """Gated linear map, depthwise convolution, layer normalisation, Swish, linear map.

    Args:
        dim: width of the sequence.
        kernel: frames that the convolution looks at.
        dropout: fraction of the result dropped in training.
        centred: look to both sides; otherwise back only.
    """

    def __init__(self, dim: int, kernel: int, dropout: float, centred: bool) -> None:
        super().__init__()
        self.norm, self.inner_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.gated, self.out = Linear(dim, 2 * dim), Linear(dim, dim)
        self.conv = nn.Conv1d(dim, dim, kernel, groups=dim)
        self.dropout = Dropout(dropout)
        self.sides = (kernel // 2, (kernel - 1) // 2) if centred else (kernel - 1, 0)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(batch, time, dim) to the same, within a clip: what lies beyond its ends counts as zeros."""
        return self._convolved(F.pad(self._gated(x, valid), (0, 0, *self.sides)))

    def carried(self, x: Tensor, valid: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, time, dim) to the same, and the last inputs of the convolution, as many as ``past``."""
        x = self._gated(x, valid)
        x = torch.cat([past.to(x.dtype), x], dim=1)
        return self._convolved(x), last_frames(x, valid, past.shape[1]).to(past.dtype)

    def _gated(self, x: Tensor, valid: Tensor) -> Tensor:
        return F.glu(self.gated(self.norm(x)), dim=-1).masked_fill(~valid.unsqueeze(-1), 0.0)

    def _convolved(self, x: Tensor) -> Tensor:
        return self.dropout(self.out(F.silu(self.inner_norm(depthwise(self.conv, x)))))


def last_frames(x: Tensor, valid: Tensor, size: int) -> Tensor:
    """The ``size`` frames up to each row's last valid one, of ``x`` with that many in front of the clip."""
    at = valid.sum(dim=1, keepdim=True) + torch.arange(size, device=x.device)
    return x.gather(1, at.unsqueeze(-1).expand(-1, -1, x.shape[2]))
