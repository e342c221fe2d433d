"""Multi-head attention."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from abawfw.errors import ConfigError
from abawfw.models.layers.cpu.dropout import Dropout, drawn_here


class MultiheadAttention(nn.Module):
    """Multi-head attention with the parameter names and shapes of ``torch.nn.MultiheadAttention``.

    Args:
        dim: width of queries, keys and values.
        heads: number of heads; divides ``dim``.
        dropout: fraction of attention weights dropped in training.

    Raises:
        ConfigError: ``heads`` does not divide ``dim``.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % heads:
            raise ConfigError(f'{heads} attention heads do not divide a width of {dim}: change one of them')
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        self.dropout = Dropout(dropout)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        mask: Tensor | None = None,
        values: Tensor | None = None,
    ) -> Tensor:
        """Attend from every step of ``x`` to ``memory``, or to ``x`` itself.

        Args:
            x: queries, (batch, time, dim).
            memory: keys and values, (batch, entries, dim); None for self-attention.
            mask: (batch, entries) bool, True for what may be attended to, at least one entry a row;
                None if that is all.
            values: of the entries, where they are not those of ``memory``, of the same shape.

        Returns:
            (batch, time, dim)
        """
        if memory is None:
            query, key, value = map(
                self._split, F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
            )
        else:
            dim = x.shape[-1]
            query = self._split(F.linear(x, self.in_proj_weight[:dim], self.in_proj_bias[:dim]))
            if values is None:
                projected = F.linear(memory, self.in_proj_weight[dim:], self.in_proj_bias[dim:])
                key, value = map(self._split, projected.chunk(2, -1))
            else:
                weights, biases = self.in_proj_weight[dim:].chunk(2), self.in_proj_bias[dim:].chunk(2)
                key = self._split(F.linear(memory, weights[0], biases[0]))
                value = self._split(F.linear(values, weights[1], biases[1]))
        if mask is not None:
            mask = mask[:, None, None, :]
        p = self.dropout.p if self.training else 0.0
        if p == 0.0 or not drawn_here(query):
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=p)
        else:
            # On a CPU torch's own attention with dropout draws a Bernoulli mask, which costs more than the
            # attention itself; ours draws a cheaper one of the same distribution.
            scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
            if mask is not None:
                scores = scores.masked_fill(~mask, float('-inf'))
            mixed = self.dropout(scores.softmax(-1)) @ value
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(batch, time, dim) -> (batch, heads, time, dim of a head)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def attention_mask(valid: Tensor, lengths: Sequence[int] | None) -> Tensor | None:
    """What may be attended to within clips, (batch, time) bool; None, which is faster, without padding.

    Args:
        valid: (batch, time) bool, False for padding.
        lengths: frames of each row that exist, if known on the host, which alone can decide for None.
    """
    # An exported graph is for clips without padding.
    if torch.compiler.is_exporting() or (lengths is not None and min(lengths) >= valid.shape[1]):
        return None
    # A row without any frame would be a softmax over nothing: let it see all of its padding.
    return valid | ~valid.any(dim=1, keepdim=True)


class EncoderLayer(nn.Module):
    """Post-norm encoder layer with ReLU, parameters named as in ``torch.nn.TransformerEncoderLayer``.

    Args:
        dim: width of the sequence.
        heads: attention heads.
        ffn: width of the feed-forward part.
        dropout: fraction of attention weights and activations dropped in training.
    """

    def __init__(self, dim: int, heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(dim, heads, dropout)
        self.linear1 = nn.Linear(dim, ffn)
        self.linear2 = nn.Linear(ffn, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map (batch, time, dim) to the same shape; ``mask`` (batch, time) says what may be attended to."""
        x = self.norm1(x + self.dropout(self.self_attn(x, mask=mask)))
        inner = self.dropout(F.relu(self.linear1(x)))
        return self.norm2(x + self.dropout(self.linear2(inner)))


ROWS = 512


def sinusoids(rows: int, dim: int) -> np.ndarray:
    """Sinusoidal positions, (rows, dim) float32; row 0 is all zeros (docs/rucaim3.md, The four models)."""
    column = np.arange(dim)
    angle = np.arange(rows)[:, None] / np.power(10000.0, 2 * (column // 2) / dim)
    table = np.where(column % 2 == 0, np.sin(angle), np.cos(angle))
    table[0] = 0
    return table.astype(np.float32)


class PositionTable(nn.Module):
    """Add row t of the table to frame t of a clip.

    The table is no part of the checkpoint: it follows from its size.

    Args:
        dim: width of the sequence.
    """

    table: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer('table', torch.from_numpy(sinusoids(ROWS, dim)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Add positions to ``x``, (batch, time, dim).

        Raises:
            ConfigError: the clip has more frames than the table has rows.
        """
        time = x.shape[1]
        if time > ROWS:
            raise ConfigError(
                f'clips of {time} frames do not fit the {ROWS} rows of the position table: '
                f'cut clips of at most {ROWS} frames, or set position=False in the transformer context'
            )
        return x + self.table[:time].to(x.dtype)
