"""Multi-head attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from abawfw.errors import ConfigError
from abawfw.models.layers.dropout import Dropout


class MultiheadAttention(nn.Module):
    """Multi-head attention with the parameter names and shapes of ``torch.nn.MultiheadAttention``.

    Args:
        dim: width of queries, keys and values.
        heads: number of heads; divides ``dim``.
        dropout: share of attention weights dropped in training.

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

    def forward(self, x: Tensor, memory: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Attend from every step of ``x`` to ``memory``, or to ``x`` itself.

        Args:
            x: queries, (batch, time, dim).
            memory: keys and values, (batch, entries, dim); None for self-attention.
            mask: (batch, entries) bool, True for what may be attended to, at least one entry a row;
                None if that is all.

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
            projected = F.linear(memory, self.in_proj_weight[dim:], self.in_proj_bias[dim:])
            key, value = map(self._split, projected.chunk(2, -1))
        if mask is not None:
            mask = mask[:, None, None, :]
        p = self.dropout.p if self.training else 0.0
        if p == 0.0 or query.device.type != 'cpu':
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
