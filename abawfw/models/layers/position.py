"""Frozen sinusoidal position table."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from abawfw.errors import ConfigError

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
